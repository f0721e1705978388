import type { Agent, Agentrun, Session } from "agentrun-client";
import { useCallback, useEffect, useState } from "react";
import { useTitle } from "../app/focus";
import { Notice } from "../app/Notice";
import { go, hrefOf, type Route } from "../app/route";
import { useLoaded } from "../app/use-loaded";
import { ConversationList } from "./ConversationList";
import { fresh } from "./history";
import { OpenConversation } from "./OpenConversation";

const SHOWN = 50;
const LAST = "agentrun:playground:last";

/** The agents' conversations beside the one that is open. */
export function ChatPage({
  client,
  agents,
  route,
  keepsFiles,
}: {
  client: Agentrun;
  agents: readonly Agent[];
  route: Extract<Route, { page: "chat" }>;
  keepsFiles: boolean;
}) {
  const agent = agents.find(({ id }) => id === route.agent);
  const { sessionId } = route;
  const isUnknown = route.agent !== undefined && !agent;
  useTitle(agent?.name ?? "Chat");
  useEffect(() => {
    if (isUnknown || agents.length === 0) return;
    if (agent && sessionId) sessionStorage.setItem(LAST, hrefOf("chat", agent.id, sessionId));
    else go(route.agent === undefined ? lastOr(agents) : newChat(agents, route.agent), { replaces: true });
  }, [agents, agent, isUnknown, sessionId, route.agent]);
  const load = useCallback((signal: AbortSignal) => newestSessions(client, signal), [client]);
  const { value: sessions, error, reload } = useLoaded(load);
  const [isListOpen, openList] = useState(false);
  if (agents.length === 0)
    return (
      <main tabIndex={-1}>
        <Notice kind="info">This stack has no agents: add a file to its agents folder.</Notice>
      </main>
    );
  return (
    <div className="chat-page">
      <aside className={isListOpen ? "open" : ""} aria-label="Conversations">
        <div className="row">
          <label className="sr-only" htmlFor="agent">
            Agent
          </label>
          <select
            id="agent"
            value={agent?.id ?? ""}
            onChange={(event) => {
              go(newChat(agents, event.target.value));
            }}
          >
            {isUnknown && <option value="">{route.agent}</option>}
            {agents.map(({ id, name, active }) => (
              <option key={id} value={id}>
                {active ? name : `${name} (inactive)`}
              </option>
            ))}
          </select>
          <button
            type="button"
            className="primary"
            onClick={() => {
              go(newChat(agents, agent?.id));
              openList(false);
            }}
          >
            New chat
          </button>
        </div>
        <button
          type="button"
          className="list-toggle"
          aria-expanded={isListOpen}
          aria-controls="conversations"
          onClick={() => {
            openList(!isListOpen);
          }}
        >
          Conversations
        </button>
        <div id="conversations" className="foldable">
          <ConversationList
            client={client}
            sessions={sessions}
            error={error}
            current={sessionId}
            onChange={reload}
            onOpen={() => {
              openList(false);
            }}
          />
        </div>
      </aside>
      {isUnknown && (
        <main tabIndex={-1}>
          <Notice kind="warning">There is no agent {route.agent}. Choose another.</Notice>
        </main>
      )}
      {agent && sessionId && (
        <OpenConversation
          key={sessionId}
          client={client}
          agent={agent}
          sessionId={sessionId}
          keepsFiles={keepsFiles}
          onChange={reload}
        />
      )}
    </div>
  );
}

function newChat(agents: readonly Agent[], wanted: string | undefined): string {
  const agent = agents.find(({ id }) => id === wanted) ?? agents.find(({ active }) => active) ?? agents[0];
  // A new conversation may have an id of its own choice, so its address holds from the start.
  const sessionId = crypto.randomUUID();
  fresh.add(sessionId);
  return hrefOf("chat", agent?.id ?? "", sessionId);
}

/** The conversation that this tab had open last. */
function lastOr(agents: readonly Agent[]): string {
  return sessionStorage.getItem(LAST) ?? newChat(agents, undefined);
}

async function newestSessions(client: Agentrun, signal: AbortSignal): Promise<Session[]> {
  const sessions: Session[] = [];
  for await (const session of client.sessions.list({ signal })) {
    sessions.push(session);
    if (sessions.length === SHOWN) break;
  }
  return sessions;
}
