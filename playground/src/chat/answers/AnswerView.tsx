import type { AssistantMessage } from "agentrun-client/react";
import { lazy, memo, Suspense, useDeferredValue } from "react";
import { hrefOf } from "../../app/route";
import { CopyButton } from "./CopyButton";
import { figures } from "./figures";
import { ToolCallView } from "./ToolCallView";

const Markdown = lazy(() => import("./Markdown"));

/** An answer: thinking, tools, text, and what it took. */
export const AnswerView = memo(function AnswerView({
  answer,
  isLive,
}: {
  answer: AssistantMessage;
  isLive: boolean;
}) {
  // A long answer is not formatted anew for every fragment, if that is too slow.
  const text = useDeferredValue(answer.text);
  return (
    <article className="answer" aria-busy={isLive} aria-label="Answer" data-run-id={answer.id} data-status={answer.status}>
      {answer.reasoning && (
        <details className="thinking">
          <summary>Thinking</summary>
          <div className="said" dir="auto">
            {answer.reasoning}
          </div>
        </details>
      )}
      {answer.tools.map((tool) => (
        <ToolCallView key={tool.callId} tool={tool} />
      ))}
      {text && (
        <div className="markdown" data-text={isLive ? undefined : answer.text}>
          <Suspense fallback={<div className="said" dir="auto">{text}</div>}>
            <Markdown text={text} />
          </Suspense>
        </div>
      )}
      {answer.status === "CANCELLED" && <p className="muted">Stopped. {answer.error}</p>}
      {answer.status === "FAILED" && <p className="failure">Failed: {answer.error}</p>}
      {!isLive && (
        <footer>
          {answer.text && <CopyButton name="Copy answer" text={answer.text} />}
          <a href={hrefOf("runs", answer.id)}>Inspect</a>
          <span className="muted">{answer.metrics && figures(answer.metrics)}</span>
        </footer>
      )}
    </article>
  );
});
