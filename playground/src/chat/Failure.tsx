import { AuthenticationError, InvalidRequestError, NotFoundError } from "agentrun-client";
import type { UseAgentRunResult } from "agentrun-client/react";
import { Notice } from "../app/Notice";
import type { Exchange } from "./history";

/** Why the last message has no answer, with what can be done about it. */
export function Failure(props: {
  chat: UseAgentRunResult;
  last: Exchange | undefined;
  /** Sends the last message again, as a new run. */
  onAskAgain: () => void;
  /** Puts the last message into the composer. */
  onReuse: () => void;
}) {
  const { chat, last, onAskAgain, onReuse } = props;
  const { error, runId } = chat;
  if (!error) return null;
  if (last?.answer?.status === "FAILED")
    return (
      <Notice kind="error" action="Ask again" onAction={onAskAgain}>
        {error.message}
      </Notice>
    );
  if (error instanceof NotFoundError && runId !== undefined)
    return (
      <Notice kind="error" action="Ask again" onAction={onAskAgain}>
        The server does not know this run any more: it was deleted, or the server was restarted without --persist.
      </Notice>
    );
  if (error instanceof AuthenticationError)
    return (
      <Notice
        kind="error"
        action="Reload"
        onAction={() => {
          location.reload();
        }}
      >
        The API does not take this token any more. Reload the page for another one; nothing is lost.
      </Notice>
    );
  if (error instanceof InvalidRequestError)
    return (
      <Notice kind="error" action="Edit and send again" onAction={onReuse}>
        {error.message}
      </Notice>
    );
  return (
    <Notice kind="error" action="Try again" onAction={chat.reconnect}>
      {error.message}
    </Notice>
  );
}
