import { AgentrunError, ApiError, ConnectionFailedError, StreamLostError } from "../errors.js";
import { parseEvent, type RunEvent } from "../events.js";
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

/**
 * A larger gap is where a run went on after a loss; a smaller one has lost events on their way.
 *
 * Ids then go on 1 000 000 after the last one that was stored, and a reader may have seen some more.
 */
const SMALLEST_JUMP = 500_000;
const ENDS: ReadonlySet<string> = new Set(["STOP", "ERROR", "CANCELLED"]);

/** A position that events move on. */
export interface Advancing extends Position {
  apply(event: RunEvent): void;
}

/** How the connections of a run have gone so far. */
interface Tally {
  /** How many in a row have brought no new event. */
  failures: number;
  wasAnswered: boolean;
  /** What the server asks to be waited between two. */
  retryMs?: number;
  /** The name of the last event. */
  last?: string;
  /** The gaps that have been asked about, as the ids on their sides. */
  readonly gaps: Set<string>;
}

/**
 * Yield a run's events, each once and in order, over as many connections as it takes.
 *
 * @param position Where to begin; `apply` moves it on.
 * @throws StreamLostError Too many connections in a row have brought no new event.
 * @throws AgentrunError The API refused.
 */
export async function* follow(
  position: Advancing,
  source: Source,
  transport: Transport,
  signal: AbortSignal,
  onReattach?: (next: Reattachment) => void,
): AsyncGenerator<RunEvent, void> {
  const { maxReattaches, maxRetries } = transport.settings;
  const tally: Tally = { failures: 0, wasAnswered: false, gaps: new Set() };
  for (;;) {
    let cause: unknown;
    try {
      if (yield* readOnce(position, source, signal, tally)) return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isTransient(error) && !(error instanceof SyntaxError)) {
        // The caller has the PAUSED; that nobody has decided is likely enough.
        if (tally.last === "PAUSED" && error instanceof AgentrunError) return;
        throw error;
      }
      cause = error;
    }
    const { wasAnswered, retryMs, last } = tally;
    const failures = (tally.failures += 1);
    const isPaused = last === "PAUSED";
    if (failures > (wasAnswered ? maxReattaches : maxRetries)) {
      if (isPaused) return;
      if (cause instanceof ApiError || (cause && !wasAnswered)) throw cause as Error;
      throw new StreamLostError(position.runId, position.lastEventId, cause);
    }
    // After a pause in a replay, most likely nothing follows: find out at once.
    const delayMs = isPaused && failures === 1 ? 0 : transport.delayMs(failures, cause, retryMs);
    onReattach?.({ failures, delayMs, cause });
    await pause(delayMs, signal);
  }
}

/** Yield what one connection brings; return whether nothing follows it. */
async function* readOnce(
  position: Advancing,
  source: Source,
  signal: AbortSignal,
  tally: Tally,
): AsyncGenerator<RunEvent, boolean> {
  const connection = await source(position, signal);
  if (!connection) return true;
  tally.wasAnswered = true;
  position.identify(connection.runId, connection.sessionId);
  let last = position.lastEventId || (position.isPart ? NaN : 0);
  for await (const frames of connection.frames((ms) => (tally.retryMs = ms))) {
    for (const { id, data } of frames) {
      const event = parseEvent(id, data);
      if (id <= last) continue;
      // What is still not there when it has been asked for again does not exist.
      const gap = `${last}-${id}`;
      if (id > last + 1 && id - last < SMALLEST_JUMP && !tally.gaps.has(gap)) {
        tally.gaps.add(gap);
        throw new ConnectionFailedError(`An event after ${last} is missing.`);
      }
      last = id;
      if (connection.isHad?.(event)) continue;
      position.apply(event);
      tally.failures = 0;
      tally.last = event.event;
      yield event;
      signal.throwIfAborted();
      // In a replay, a pause that has been decided stands in the middle.
      if (ENDS.has(tally.last) || (tally.last === "PAUSED" && !connection.isReplay)) return true;
    }
  }
  return false;
}
