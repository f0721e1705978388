import { createParser, type ParseError } from "eventsource-parser";
import { AgentrunError, ConnectionFailedError } from "../errors.js";
import type { RunEvent } from "../events.js";

/** A Server-Sent Event with its id. */
export interface Frame {
  /** Whatever was sent as one: 0 or `NaN` if that is no number. */
  readonly id: number;
  readonly data: string;
}

/** An answer whose events can be read. */
export interface Connection {
  readonly runId?: string | undefined;
  readonly sessionId?: string | undefined;
  /** Whether events that have been sent before are sent again. */
  readonly isReplay: boolean;
  /** Whether an event comes again that belongs to what the caller has had before. */
  isHad?(event: RunEvent): boolean;
  /** Yield the frames as they come, those of a chunk together. */
  frames(onRetry: (ms: number) => void): AsyncGenerator<Frame[], void>;
}

/** Four times what the API's largest texts come to; a parser without a limit takes all memory. */
const LONGEST_FRAME = 2 ** 26;

/**
 * Read the events of a response's body.
 *
 * @param controller Ends the request; so it does after `silenceMs` without a byte.
 * @throws ConnectionFailedError The connection was lost, or fell silent.
 */
export async function* readFrames(
  body: Response["body"],
  controller: AbortController,
  silenceMs: number,
  onRetry: (ms: number) => void,
): AsyncGenerator<Frame[], void> {
  let frames: Frame[] = [];
  const parser = createParser({
    maxBufferSize: LONGEST_FRAME,
    onRetry,
    onError: throwIfTooLong,
    onEvent: ({ id, data }) => {
      frames.push({ id: Number(id), data });
    },
  });
  // One decoder for all chunks: a character may begin in one and end in the next.
  const decoder = new TextDecoder();
  const reader = body?.getReader();
  for (;;) {
    const read = reader?.read().catch(throwLost);
    const next = read && (await inTime(read, controller, silenceMs));
    // What the parser still holds is half an event: it is not handed on.
    if (!next || next.done) return;
    parser.feed(decoder.decode(next.value, { stream: true }));
    if (frames.length === 0) continue;
    yield frames;
    frames = [];
  }
}

/** Wait for an answer or a chunk; end the request if it fails, or takes longer than `ms`. */
export async function inTime<T>(
  promise: Promise<T>,
  controller: AbortController,
  ms: number,
  complaint = "Nothing came for",
): Promise<T> {
  const timer = setTimeout(
    () => {
      controller.abort(new ConnectionFailedError(`${complaint} ${ms} ms.`));
    },
    // A timer takes 32 bits of milliseconds.
    Math.min(ms, 2 ** 31 - 1),
  );
  try {
    return await promise;
  } catch (error) {
    controller.signal.throwIfAborted();
    controller.abort();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Throw what stands for an answer that broke off. */
export function throwLost(cause: unknown): never {
  if (cause instanceof AgentrunError) throw cause;
  throw new ConnectionFailedError("The connection was lost.", { cause });
}

function throwIfTooLong(error: ParseError): void {
  if (error.type === "max-buffer-size-exceeded") throw new AgentrunError(error.message);
}
