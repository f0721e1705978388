import type { Media } from "agentrun-client";
import { names } from "./kept-files";

const MOST_FILES = 10;
const MOST_BYTES = 4 * 1024 * 1024;

/** A file that goes with the next message. */
export interface Attachment extends Media {
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * Read files, within what the API and the agent take.
 *
 * @throws Error One does not fit; the message says why.
 */
export async function readFiles(
  files: readonly File[],
  held: readonly Attachment[],
  accepted: readonly string[],
): Promise<Attachment[]> {
  if (held.length + files.length > MOST_FILES) throw new Error(`At most ${String(MOST_FILES)} files go with a message.`);
  const refused = files.find(({ type }) => !accepted.includes(type));
  if (refused) throw new Error(`${refused.name}: this agent takes ${accepted.join(", ") || "no files"}.`);
  const sizeBytes = [...held.map((file) => file.sizeBytes), ...files.map(({ size }) => size)];
  if (sizeBytes.reduce((sum, size) => sum + size, 0) > MOST_BYTES)
    throw new Error("Files may have 4 MiB together; larger ones go by URL, through the API.");
  return Promise.all(files.map(read));
}

/** Make a file of a message that was sent one that can be sent again. */
export function attachmentOf(media: Media): Attachment {
  const { type, data } = media;
  const padding = /=*$/.exec(data)?.[0].length ?? 0;
  return { type, data, name: names.get(media) ?? type, sizeBytes: (data.length * 3) / 4 - padding };
}

function read(file: File): Promise<Attachment> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => {
      reject(new Error(`${file.name} cannot be read.`));
    };
    reader.onload = () => {
      const data = (reader.result as string).replace(/^[^,]*,/, "");
      resolve({ type: file.type, data, name: file.name, sizeBytes: file.size });
    };
    reader.readAsDataURL(file);
  });
}
