import type { Agentrun, Session } from "agentrun-client";
import { useRef, useState } from "react";
import { Notice } from "../app/Notice";
import { go, hrefOf } from "../app/route";
import { forgetFiles } from "./files/kept-files";
import { storageKeyOf } from "./history";

export function ConversationList(props: {
  client: Agentrun;
  sessions: readonly Session[] | undefined;
  error: Error | undefined;
  current: string | undefined;
  onChange: () => void;
  onOpen: () => void;
}) {
  const { client, sessions, error, current, onChange, onOpen } = props;
  const [failure, setFailure] = useState<Error>();
  const shown = failure ?? error;
  const list = useRef<HTMLUListElement>(null);
  const remove = async (session: Session): Promise<void> => {
    if (!confirm(`Delete “${session.title}” with its runs?`)) return;
    try {
      await client.sessions.delete(session.id);
      setFailure(undefined);
      sessionStorage.removeItem(storageKeyOf(session.agentId, session.id));
      await forgetFiles(session.id).catch(() => undefined);
      list.current?.focus();
      if (session.id === current) go(hrefOf("chat", session.agentId));
      onChange();
    } catch (cause) {
      setFailure(cause as Error);
    }
  };
  return (
    <>
      {shown && <Notice kind="error">{shown.message}</Notice>}
      {sessions?.length === 0 && <p className="muted">None yet.</p>}
      <ul ref={list} className="conversations" tabIndex={-1} aria-label="Conversations">
        {sessions?.map((session) => (
          <li key={session.id}>
            <a
              href={hrefOf("chat", session.agentId, session.id)}
              aria-current={session.id === current ? "page" : undefined}
              dir="auto"
              onClick={onOpen}
            >
              {session.title || "Untitled"}
            </a>
            <button
              type="button"
              className="quiet"
              aria-label={`Delete ${session.title || "Untitled"}`}
              onClick={() => void remove(session)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
