import type { CallOptions, Transport } from "./wire/transport.js";

interface Page<T> {
  content: T[];
  nextCursor?: string;
}

/**
 * Yield what all pages of a list hold; the next page is asked for when it is needed.
 *
 * @param options The list's filters, too.
 */
export async function* pages<T>(
  transport: Transport,
  path: string,
  options: CallOptions = {},
): AsyncGenerator<T, void> {
  const { signal, ...query } = options;
  for (let cursor: string | undefined; ; ) {
    const page: Page<T> = await transport.get(path, { signal }, { ...query, cursor });
    yield* page.content;
    cursor = page.nextCursor;
    if (!cursor) return;
  }
}
