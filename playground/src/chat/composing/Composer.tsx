import type { Agent, Media, RunOptions } from "agentrun-client";
import { useEffect, useRef, useState } from "react";
import { type Attachment, readFiles } from "../files/attachments";
import { names } from "../files/kept-files";
import { FileChips } from "./FileChips";
import { RunOptionsForm } from "./RunOptionsForm";

/** Where the user writes; files come by button, paste or drop. */
export function Composer(props: {
  agent: Agent;
  isBusy: boolean;
  isPaused: boolean;
  /** What it begins with, if that is to be edited. */
  first: { readonly text: string; readonly files: readonly Attachment[] } | undefined;
  options: RunOptions;
  onOptions: (options: RunOptions) => void;
  onSend: (text: string, media: Media[]) => void;
  onStop: () => void;
}) {
  const { agent, isBusy, isPaused, first, options, onOptions, onSend, onStop } = props;
  const [text, setText] = useState(first?.text ?? "");
  const [files, setFiles] = useState<readonly Attachment[]>(first?.files ?? []);
  const [fault, setFault] = useState<string>();
  const picker = useRef<HTMLInputElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (!first) return;
    field.current?.focus();
    field.current?.setSelectionRange(first.text.length, first.text.length);
  }, [first]);
  const isHeld = isBusy || isPaused;
  const send = (): void => {
    if (isHeld || text.trim() === "") return;
    onSend(text, files.map(mediaOf));
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
      noValidate
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
      <FileChips
        files={files}
        onRemove={(file) => {
          setFiles(files.filter((other) => other !== file));
          field.current?.focus();
        }}
      />
      <label className="sr-only" htmlFor="message">
        Message to {agent.name}
      </label>
      <textarea
        ref={field}
        id="message"
        dir="auto"
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
        <RunOptionsForm
          agent={agent}
          options={options}
          isOpenAtFirst={first !== undefined && Object.keys(options).length > 0}
          onChange={onOptions}
        />
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

function mediaOf({ type, data, name }: Attachment): Media {
  const media = { type, data };
  names.set(media, name);
  return media;
}
