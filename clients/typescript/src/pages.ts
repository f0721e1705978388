import type { CallOptions, Request, Transport } from "./wire/transport.js";

interface Page<T> {
  content: T[];
  nextCursor?: string;
}

/** Yield what all pages of a list hold; the next page is asked for when it is needed. */
export async function* pages<T>(
  transport: Transport,
  path: string,
  query: Request["query"],
  options: CallOptions,
): AsyncGenerator<T, void> {
  for (let cursor: string | undefined; ; ) {
    const page: Page<T> = await transport.get(path, options, { ...query, cursor });
    yield* page.content;
    cursor = page.nextCursor;
    if (!cursor) return;
  }
}
