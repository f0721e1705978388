/** Waiting that an AbortSignal ends. */

/** A controller that is aborted with a signal, until it is released. */
export interface Linked {
  readonly controller: AbortController;
  release(): void;
}

/**
 * Follow a signal. `AbortSignal.any` would do, but Safari has had it only since 17.4.
 *
 * @param until What an abort waits for.
 */
export function linkedTo(
  signal: AbortSignal | undefined,
  until?: () => Promise<unknown> | undefined,
): Linked {
  const controller = new AbortController();
  const abort = (): void => {
    const now = (): void => {
      controller.abort(signal?.reason);
    };
    const wait = until?.();
    if (wait) wait.then(now, now);
    else now();
  };
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort);
  return {
    controller,
    release: () => {
      signal?.removeEventListener("abort", abort);
    },
  };
}

/**
 * Wait.
 *
 * @throws The signal's reason, once it is aborted.
 */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await orAborted(signal, (settle) => {
    const timer = setTimeout(settle, ms);
    return () => {
      clearTimeout(timer);
    };
  });
}

/** Wait until `begin` calls what it is given, or the signal is aborted; then clean up. */
export function orAborted<T>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void) => () => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted();
    const cleanUp = begin((value) => {
      leave();
      resolve(value);
    });
    const abort = (): void => {
      leave();
      reject(signal?.reason as Error);
    };
    function leave(): void {
      signal?.removeEventListener("abort", abort);
      cleanUp();
    }
    signal?.addEventListener("abort", abort);
  });
}

/**
 * How long to wait before the next try: doubled each time, and up to half of it off by chance, so
 * that readers that lost their connections together do not come back together.
 *
 * @param failures How many tries have failed in a row, from 1.
 * @param firstMs What to wait after the first.
 */
export function backoffMs(failures: number, firstMs: number, mostMs: number): number {
  const whole = Math.min(mostMs, firstMs * 2 ** (failures - 1));
  return whole * (1 - Math.random() / 2);
}
