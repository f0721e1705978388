import type { Agent, Agentrun } from "agentrun-client";
import { useCallback } from "react";
import { Notice } from "../app/Notice";
import { useLoaded } from "../app/use-loaded";
import { Conversation } from "./Conversation";
import { loadHistory } from "./history";

/** Loads what the server has of a conversation, then shows it. */
export function OpenConversation(props: {
  client: Agentrun;
  agent: Agent;
  sessionId: string;
  keepsFiles: boolean;
  onChange: () => void;
}) {
  const { client, agent, sessionId } = props;
  const load = useCallback(
    (signal: AbortSignal) => loadHistory(client, agent.id, sessionId, signal),
    [client, agent.id, sessionId],
  );
  const { value: history, error, reload } = useLoaded(load);
  if (error)
    return (
      <main tabIndex={-1}>
        <Notice kind="error" action="Try again" onAction={reload}>
          The conversation cannot be read: {error.message}
        </Notice>
      </main>
    );
  if (!history) return <main tabIndex={-1} className="centred">Loading …</main>;
  return <Conversation {...props} history={history} onReload={reload} />;
}
