import type { Agent, Agentrun } from "agentrun-client";
import { useAgentRun, type UserMessage } from "agentrun-client/react";
import { useCallback, useMemo, useState } from "react";
import { Notice } from "../app/Notice";
import { Announcer } from "./Announcer";
import { AnswerView } from "./answers/AnswerView";
import { QuestionView } from "./answers/QuestionView";
import { Composer } from "./composing/Composer";
import { useRunOptions } from "./composing/use-run-options";
import { Pause } from "./deciding/Pause";
import { Failure } from "./Failure";
import { type Attachment, attachmentOf } from "./files/attachments";
import { Followups } from "./Followups";
import { exchangesOf, type History } from "./history";
import { TranscriptButtons } from "./TranscriptButtons";
import { useFocusAfter, useOnEachEnd, useReconnecting, useReloadOnReturn } from "./use-followed-run";
import { useStickToEnd } from "./use-stick-to-end";

/** One conversation, live. */
export function Conversation(props: {
  client: Agentrun;
  agent: Agent;
  sessionId: string;
  history: History;
  /** Whether this browser may keep previews of files that were sent. */
  keepsFiles: boolean;
  /** Told when a run has begun or ended. */
  onChange: () => void;
  /** Reads the history again. */
  onReload: () => void;
}) {
  const { client, agent, sessionId, history, keepsFiles, onChange, onReload } = props;
  const { run } = history;
  const chat = useAgentRun({ client, agent: agent.id, sessionId, run, generateFollowups: true });
  const { status, messages } = chat;
  const exchanges = useMemo(() => exchangesOf(history.messages, messages), [history, messages]);
  const isBusy = status === "connecting" || status === "streaming" || status === "reconnecting";
  const last = exchanges.at(-1);
  const [draft, setDraft] = useState<Draft>();
  const [options, setOptions] = useRunOptions(agent.id);
  useOnEachEnd(isBusy, chat.runId, onChange);
  useReconnecting(status === "failed" && last?.answer?.status !== "FAILED", chat.reconnect);
  useReloadOnReturn(!isBusy && status !== "paused", onReload);
  useFocusAfter(status);
  const content = useStickToEnd(messages.length);
  const reuse = useCallback(({ text, media }: UserMessage) => {
    setDraft((before) => ({ number: (before?.number ?? 0) + 1, text, files: media.map(attachmentOf) }));
  }, []);
  return (
    <main ref={content} tabIndex={-1} className="chat" aria-label={`Chat with ${agent.name}`}>
      <h1 className="sr-only">{agent.name}</h1>
      {exchanges.length === 0 ? (
        <div className="intro">
          <h2>{agent.name}</h2>
          <p>{agent.description}</p>
        </div>
      ) : (
        <TranscriptButtons agent={agent} sessionId={sessionId} exchanges={exchanges} />
      )}
      {history.isForgotten && (
        <Notice kind="warning">
          The server does not know this conversation any more: it was deleted, or the server was restarted without
          --persist. The agent does not remember what is above.
        </Notice>
      )}
      <ol className="exchanges">
        {exchanges.map(({ question, answer }, index) => (
          <li key={question.id}>
            <QuestionView
              question={question}
              sessionId={sessionId}
              runId={keepsFiles ? answer?.id : undefined}
              onReuse={agent.active ? reuse : undefined}
            />
            {answer && <AnswerView answer={answer} isLive={index === exchanges.length - 1 && isBusy} />}
          </li>
        ))}
      </ol>
      {isBusy && <p className="muted working">{WORDS[status]}</p>}
      {status === "paused" && <Pause chat={chat} />}
      <Failure
        chat={chat}
        last={last}
        onAskAgain={() => {
          if (last) chat.send(last.question.text, { media: [...last.question.media], options });
        }}
        onReuse={() => {
          if (last) reuse(last.question);
        }}
      />
      {!isBusy && status !== "paused" && agent.active && (
        <Followups
          texts={last?.answer?.followups ?? []}
          onAsk={(text) => {
            chat.send(text, { options });
          }}
        />
      )}
      <Announcer status={status} answer={last?.answer} />
      {agent.active ? (
        <Composer
          key={draft?.number}
          agent={agent}
          isBusy={isBusy}
          isPaused={status === "paused"}
          first={draft}
          options={options}
          onOptions={setOptions}
          onSend={(text, media) => {
            chat.send(text, { media, options });
          }}
          onStop={chat.stop}
        />
      ) : (
        <Notice kind="info">This agent is inactive: what it has said can be read, but it takes no messages.</Notice>
      )}
    </main>
  );
}

/** A message that was sent before and is edited. */
interface Draft {
  readonly number: number;
  readonly text: string;
  readonly files: readonly Attachment[];
}

const WORDS = {
  connecting: "Sending …",
  streaming: "The agent is at work …",
  reconnecting: "The connection broke; reading on …",
};
