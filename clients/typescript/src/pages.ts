import type { Request, Transport } from "./transport.js";

/** What every call takes. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

interface Page<T> {
  content: T[];
  nextCursor?: string;
}

/** Yield what all pages of a list hold; the next page is asked for when it is needed. */
export async function* pages<T>(
  transport: Transport,
  path: string,
  query: Request["query"],
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  for (let cursor: string | undefined; ; ) {
    const request = { method: "GET", path, query: { ...query, cursor } } as const;
    const page = await transport.json<Page<T>>(request, signal);
    yield* page.content;
    cursor = page.nextCursor;
    if (!cursor) return;
  }
}
