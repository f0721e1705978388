import { ApiError, StreamLostError } from "./errors.js";
import { parseEvent, type RunEvent } from "./events.js";
import type { Position, Source } from "./source.js";
import { isTransient, type Transport } from "./transport.js";
import { pause } from "./waiting.js";

/** What a stream is about to do after its connection broke. */
export interface Reattachment {
  /** How many connections in a row have brought no new event, from 1. */
  readonly failures: number;
  readonly delayMs: number;
  /** Why, if that is known; a connection may also end as if all were well. */
  readonly cause: unknown;
}

const ENDS: ReadonlySet<string> = new Set(["STOP", "ERROR", "CANCELLED"]);

/**
 * Yield a run's events, each once and in order, over as many connections as it takes.
 *
 * @param position Where to begin; `apply` moves it on.
 * @throws StreamLostError Too many connections in a row have brought no new event.
 * @throws AgentrunError The API refused.
 */
export async function* follow(
  position: Position & { apply(event: RunEvent): void },
  source: Source,
  transport: Transport,
  controller: AbortController,
  onReattach?: (next: Reattachment) => void,
): AsyncGenerator<RunEvent, void> {
  const { maxReattaches, maxRetries } = transport.settings;
  let failures = 0;
  let wasAnswered = false;
  let retryMs: number | undefined;
  for (;;) {
    let last: string | undefined;
    let cause: unknown;
    try {
      const connection = await source.open(position, controller);
      if (!connection) return;
      wasAnswered = true;
      position.identify(connection.runId, connection.sessionId);
      const batches = connection.frames((ms) => (retryMs = ms));
      for await (const { id, data } of each(batches)) {
        if (id <= position.lastEventId) continue;
        const event = parseEvent(id, data);
        position.apply(event);
        failures = 0;
        last = event.event;
        yield event;
        controller.signal.throwIfAborted();
        // In a replay, a pause that has been decided stands in the middle.
        if (ENDS.has(last) || (last === "PAUSED" && !connection.isReplay)) return;
      }
    } catch (error) {
      controller.signal.throwIfAborted();
      if (!isTransient(error) && !(error instanceof SyntaxError)) throw error;
      cause = error;
    }
    failures += 1;
    if (failures > (wasAnswered ? maxReattaches : maxRetries)) {
      if (cause instanceof ApiError || (cause && !wasAnswered)) throw cause as Error;
      throw new StreamLostError(position.runId, position.lastEventId, cause);
    }
    // After a pause in a replay, most likely nothing follows: find out at once.
    const delayMs = last === "PAUSED" ? 0 : transport.delayMs(failures, cause, retryMs);
    onReattach?.({ failures, delayMs, cause });
    await pause(delayMs, controller.signal);
  }
}

async function* each<T>(batches: AsyncGenerator<T[], void>): AsyncGenerator<T, void> {
  for await (const batch of batches) yield* batch;
}
