import type { AgentRunStatus, AssistantMessage } from "agentrun-client/react";

const LONGEST = 600;

/** Tells a screen reader what has happened: each state once, and an answer when it is whole. */
export function Announcer({ status, answer }: { status: AgentRunStatus; answer: AssistantMessage | undefined }) {
  return (
    <div className="sr-only" aria-live="polite" role="status">
      {wordsFor(status, answer)}
    </div>
  );
}

function wordsFor(status: AgentRunStatus, answer: AssistantMessage | undefined): string {
  switch (status) {
    case "connecting":
    case "streaming":
      return "The agent is at work.";
    case "reconnecting":
      return "The connection broke. Reading on.";
    case "paused":
      return "The run waits for your decision.";
    case "stopped":
      return "The run was stopped.";
    case "failed":
      return "The run failed.";
    case "idle":
      return answer ? `Answer: ${answer.text.slice(0, LONGEST)}` : "";
  }
}
