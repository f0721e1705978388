import type { UserMessage } from "agentrun-client/react";
import { memo } from "react";
import { names } from "../files/kept-files";
import { useKeptFiles } from "../files/use-kept-files";
import { CopyButton } from "./CopyButton";

/** What the user has said, with its files. */
export const QuestionView = memo(function QuestionView(props: {
  question: UserMessage;
  sessionId: string;
  /** Whose files are kept, once it is known. */
  runId: string | undefined;
  /** Puts the message into the composer; absent where nothing can be sent. */
  onReuse: ((question: UserMessage) => void) | undefined;
}) {
  const { question, sessionId, runId, onReuse } = props;
  const kept = useKeptFiles(runId, sessionId, question.media);
  return (
    <div className="question" role="group" aria-label="You">
      {question.media.map((media, index) => {
        const { type, data } = media;
        return type.startsWith("image/") ? (
          <img key={index} src={/^https?:/.test(data) ? data : `data:${type};base64,${data}`} alt={altOf(names.get(media), type)} />
        ) : (
          <span key={index} className="chip">
            {names.get(media) ?? type}
          </span>
        );
      })}
      {question.media.length === 0 &&
        kept.map(({ type, name, preview }, index) =>
          preview ? (
            <img key={index} src={preview} alt={altOf(name, type)} />
          ) : (
            <span key={index} className="chip">
              {name ?? type}
            </span>
          ),
        )}
      <div className="said" dir="auto">
        {question.text}
      </div>
      <div className="row actions">
        <CopyButton name="Copy message" text={question.text} />
        {onReuse && (
          <button
            type="button"
            className="quiet"
            aria-label="Edit and send again"
            onClick={() => {
              onReuse(question);
            }}
          >
            Edit
          </button>
        )}
      </div>
    </div>
  );
});

function altOf(name: string | undefined, type: string): string {
  return `Attached, ${name ?? type}`;
}
