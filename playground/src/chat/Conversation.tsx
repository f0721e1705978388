import type { Agent, Agentrun } from "agentrun-client";
import { useAgentRun } from "agentrun-client/react";
import { useEffect, useMemo, useRef } from "react";
import { Notice } from "../app/Notice";
import { useOnline } from "../app/use-online";
import { Announcer } from "./Announcer";
import { AnswerView } from "./AnswerView";
import { Composer } from "./Composer";
import { exchangesOf, type History } from "./history";
import { Pause } from "./Pause";
import { QuestionView } from "./QuestionView";
import { useStickToEnd } from "./use-stick-to-end";

/** One conversation, live. */
export function Conversation(props: {
  client: Agentrun;
  agent: Agent;
  sessionId: string;
  history: History;
  /** Told when a run has begun or ended. */
  onChange: () => void;
  /** Reads the history again. */
  onReload: () => void;
}) {
  const { client, agent, sessionId, history, onChange, onReload } = props;
  const { run } = history;
  const chat = useAgentRun({ client, agent: agent.id, sessionId, run, generateFollowups: true });
  const { status, messages, error } = chat;
  const exchanges = useMemo(() => exchangesOf(history.messages, messages), [history, messages]);
  const isBusy = status === "connecting" || status === "streaming" || status === "reconnecting";
  const last = exchanges.at(-1);
  useOnEachEnd(isBusy, chat.runId, onChange);
  useReconnecting(status === "failed" && last?.answer?.status !== "FAILED", chat.reconnect);
  useReloadOnReturn(!isBusy && status !== "paused", onReload);
  const end = useStickToEnd(messages);
  return (
    <main tabIndex={-1} className="chat" aria-label={`Chat with ${agent.name}`}>
      <h1 className="sr-only">{agent.name}</h1>
      {exchanges.length === 0 && (
        <div className="intro">
          <h2>{agent.name}</h2>
          <p>{agent.description}</p>
        </div>
      )}
      <ol className="exchanges">
        {exchanges.map(({ question, answer }, index) => {
          const isLast = index === exchanges.length - 1;
          return (
            <li key={question.id}>
              <QuestionView question={question} />
              {answer && <AnswerView answer={answer} isLive={isLast && isBusy} />}
            </li>
          );
        })}
      </ol>
      {isBusy && <p className="muted working">{WORDS[status]}</p>}
      {status === "paused" && <Pause chat={chat} />}
      {error && (
        <Notice
          kind="error"
          action={last?.answer?.status === "FAILED" ? "Ask again" : "Try again"}
          onAction={() => {
            if (chat.runId !== undefined && last?.answer?.status !== "FAILED") chat.reconnect();
            else if (last) chat.send(last.question.text, { media: [...last.question.media] });
          }}
        >
          {error.message}
        </Notice>
      )}
      {!isBusy && status !== "paused" && last?.answer && last.answer.followups.length > 0 && (
        <div className="followups" role="group" aria-label="Suggested questions">
          {last.answer.followups.map((text) => (
            <button
              key={text}
              type="button"
              onClick={() => {
                chat.send(text);
              }}
            >
              {text}
            </button>
          ))}
        </div>
      )}
      <div ref={end} />
      <Announcer status={status} answer={last?.answer} />
      <Composer
        agent={agent}
        isBusy={isBusy}
        isPaused={status === "paused"}
        onSend={(text, media) => {
          chat.send(text, { media });
        }}
        onStop={chat.stop}
      />
    </main>
  );
}

const WORDS = {
  connecting: "Sending …",
  streaming: "The agent is at work …",
  reconnecting: "The connection broke; reading on …",
};

/** Tell when a run has begun and when it has ended. */
function useOnEachEnd(isBusy: boolean, runId: string | undefined, onChange: () => void): void {
  const before = useRef({ isBusy, runId });
  useEffect(() => {
    const { isBusy: wasBusy, runId: lastRun } = before.current;
    before.current = { isBusy, runId };
    if (wasBusy !== isBusy || runId !== lastRun) onChange();
  }, [isBusy, runId, onChange]);
}

/** Read on by itself once the network is back. */
function useReconnecting(isLost: boolean, reconnect: () => void): void {
  const isOnline = useOnline();
  const wasOnline = useRef(isOnline);
  useEffect(() => {
    const isBack = isOnline && !wasOnline.current;
    wasOnline.current = isOnline;
    if (isBack && isLost) reconnect();
  }, [isOnline, isLost, reconnect]);
}

/** Look for what another tab has said, when the user comes back to this one. */
function useReloadOnReturn(isIdle: boolean, onReload: () => void): void {
  useEffect(() => {
    if (!isIdle) return;
    const look = (): void => {
      if (document.visibilityState === "visible") onReload();
    };
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
    };
  }, [isIdle, onReload]);
}
