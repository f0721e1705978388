import type { UserMessage } from "agentrun-client/react";
import { memo } from "react";

export const QuestionView = memo(function QuestionView({ question }: { question: UserMessage }) {
  return (
    <div className="question">
      <span className="sr-only">You: </span>
      {question.media.map(({ type, data }, index) =>
        type.startsWith("image/") ? (
          <img key={index} src={/^https?:/.test(data) ? data : `data:${type};base64,${data}`} alt={`Attached, ${type}`} />
        ) : (
          <span key={index} className="chip">
            {type}
          </span>
        ),
      )}
      <div className="said">{question.text}</div>
    </div>
  );
});
