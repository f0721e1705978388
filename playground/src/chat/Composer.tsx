import type { Agent, Media } from "agentrun-client";
import { useRef, useState } from "react";
import { type Attachment, readFiles } from "./attachments";

/** Where the user writes; files come by button, paste or drop. */
export function Composer(props: {
  agent: Agent;
  isBusy: boolean;
  isPaused: boolean;
  onSend: (text: string, media: Media[]) => void;
  onStop: () => void;
}) {
  const { agent, isBusy, isPaused, onSend, onStop } = props;
  const [text, setText] = useState("");
  const [files, setFiles] = useState<readonly Attachment[]>([]);
  const [fault, setFault] = useState<string>();
  const picker = useRef<HTMLInputElement>(null);
  const isHeld = isBusy || isPaused;
  const send = (): void => {
    if (isHeld || text.trim() === "") return;
    onSend(
      text,
      files.map(({ type, data }) => ({ type, data })),
    );
    setText("");
    setFiles([]);
    setFault(undefined);
  };
  const attach = async (given: Iterable<File>): Promise<void> => {
    try {
      const read = await readFiles([...given], files, agent.media);
      setFiles((held) => [...held, ...read]);
      setFault(undefined);
    } catch (error) {
      setFault((error as Error).message);
    }
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      onDragOver={(event) => {
        event.preventDefault();
      }}
      onDrop={(event) => {
        event.preventDefault();
        void attach(event.dataTransfer.files);
      }}
    >
      {fault && (
        <p className="failure" role="alert">
          {fault}
        </p>
      )}
      {files.length > 0 && (
        <ul className="chips" aria-label="Attached files">
          {files.map((file, index) => (
            <li key={index} className="chip">
              {file.type.startsWith("image/") && <img src={`data:${file.type};base64,${file.data}`} alt="" />}
              {file.name}
              <button
                type="button"
                className="quiet"
                aria-label={`Remove ${file.name}`}
                onClick={() => {
                  setFiles(files.filter((other) => other !== file));
                }}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <label className="sr-only" htmlFor="message">
        Message to {agent.name}
      </label>
      <textarea
        id="message"
        rows={Math.min(8, Math.max(2, text.split("\n").length))}
        maxLength={100_000}
        placeholder={`Message ${agent.name}`}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
        }}
        onPaste={(event) => {
          if (event.clipboardData.files.length === 0) return;
          event.preventDefault();
          void attach(event.clipboardData.files);
        }}
        onKeyDown={(event) => {
          // Enter that ends the composition of a character is not meant for the form.
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      <div className="row">
        {agent.media.length > 0 && (
          <>
            <input
              ref={picker}
              type="file"
              multiple
              hidden
              accept={agent.media.join(",")}
              aria-label="Files"
              onChange={(event) => {
                void attach(event.target.files ?? []);
                event.target.value = "";
              }}
            />
            <button type="button" onClick={() => picker.current?.click()}>
              Attach
            </button>
          </>
        )}
        <span className="grows muted hint">Enter sends, Shift and Enter begin a line</span>
        {isHeld && (
          <button type="button" onClick={onStop}>
            Stop
          </button>
        )}
        {!isBusy && (
          <button type="submit" className="primary" disabled={isHeld || text.trim() === ""}>
            Send
          </button>
        )}
      </div>
    </form>
  );
}
