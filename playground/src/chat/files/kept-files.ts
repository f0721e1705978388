import type { Media } from "agentrun-client";

const DATABASE = "agentrun-playground";
const STORE = "files";
const MOST_RUNS = 200;
const PREVIEW_PX = 384;

/** What is shown of a file that went with an earlier message. */
export interface KeptFile {
  readonly type: string;
  readonly name: string | undefined;
  /** A small picture, as a data URL. */
  readonly preview: string | undefined;
}

interface Kept {
  readonly runId: string;
  readonly sessionId: string;
  readonly at: number;
  readonly files: readonly KeptFile[];
}

/** The names of files that this page has sent; the API takes none. */
export const names = new WeakMap<Media, string>();

/** Keep previews of what went with a message; the API returns no files. The newest 200 runs' are kept. */
export async function keepFiles(runId: string, sessionId: string, media: readonly Media[]): Promise<void> {
  const held = await filesOf(runId);
  if (held.length > 0) return;
  const files = await Promise.all(media.map(shrunk));
  const database = await open();
  const store = database.transaction(STORE, "readwrite").objectStore(STORE);
  await done(store.put({ runId, sessionId, at: Date.now(), files } satisfies Kept));
  const keys = await done(store.index("at").getAllKeys());
  for (const key of keys.slice(0, Math.max(0, keys.length - MOST_RUNS))) store.delete(key);
  database.close();
}

/** What is kept of a run's files; nothing, if they were sent from elsewhere. */
export async function filesOf(runId: string): Promise<readonly KeptFile[]> {
  const database = await open();
  const asked = database.transaction(STORE).objectStore(STORE).get(runId) as IDBRequest<Kept | undefined>;
  const found = await done(asked);
  database.close();
  return found?.files ?? [];
}

/** Drop what is kept of a conversation. */
export async function forgetFiles(sessionId: string): Promise<void> {
  const database = await open();
  const store = database.transaction(STORE, "readwrite").objectStore(STORE);
  for (const key of await done(store.index("sessionId").getAllKeys(sessionId))) store.delete(key);
  database.close();
}

function open(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    const store = opening.result.createObjectStore(STORE, { keyPath: "runId" });
    store.createIndex("at", "at");
    store.createIndex("sessionId", "sessionId");
  };
  return done(opening);
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(request.error ?? new Error("The browser keeps nothing."));
    };
  });
}

async function shrunk(media: Media): Promise<KeptFile> {
  const { type, data } = media;
  const file = { type, name: names.get(media) };
  if (!type.startsWith("image/") || /^https?:/.test(data)) return { ...file, preview: undefined };
  const image = new Image();
  image.src = `data:${type};base64,${data}`;
  try {
    await image.decode();
  } catch {
    // What is no picture after all is named only.
    return { ...file, preview: undefined };
  }
  const scale = Math.min(1, PREVIEW_PX / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return { ...file, preview: canvas.toDataURL("image/webp", 0.8) };
}
