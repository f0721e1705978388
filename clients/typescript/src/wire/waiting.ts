/** Waiting that an AbortSignal ends. */

/**
 * Abort a controller with a signal, until it is aborted otherwise.
 *
 * `AbortSignal.any` would do, but Safari has had it only since 17.4.
 */
export function linkedTo(
  signal: AbortSignal | undefined,
  controller = new AbortController(),
): AbortController {
  const abort = (): void => {
    controller.abort(signal?.reason);
  };
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort, { signal: controller.signal });
  return controller;
}

/**
 * Wait.
 *
 * @throws The signal's reason, once it is aborted.
 */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const over = linkedTo(signal);
  const timer = setTimeout(() => {
    over.abort();
  }, ms);
  await new Promise((resolve) => {
    over.signal.addEventListener("abort", resolve);
  });
  clearTimeout(timer);
  signal?.throwIfAborted();
}
