import type { Attachment } from "../files/attachments";

/** The files that go with the next message. */
export function FileChips({ files, onRemove }: { files: readonly Attachment[]; onRemove: (file: Attachment) => void }) {
  if (files.length === 0) return null;
  return (
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
              onRemove(file);
            }}
          >
            ×
          </button>
        </li>
      ))}
    </ul>
  );
}
