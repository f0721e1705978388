import type { Frame } from "./wire/connection.js";
import { ConnectionFailedError } from "./errors.js";
import type { AgentRun, StreamTicket } from "./models.js";
import type { Source } from "./wire/source.js";
import { linkedTo } from "./wire/waiting.js";
import { isUnderWay } from "./watching.js";

/** What is used of a browser's `EventSource`. */
export interface EventSourceLike {
  // Not all that have `fetch` have the types of a browser's events.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  addEventListener(type: string, listener: (event: any) => void): void;
  readonly readyState: number;
  close(): void;
}

export type EventSourceClass = new (url: string) => EventSourceLike;

interface Message {
  readonly lastEventId: string;
  readonly data: string;
}

interface Tickets {
  streamTicket(
    agent: string,
    runId: string,
    options: { signal: AbortSignal },
  ): Promise<StreamTicket>;
  get(runId: string, options: { signal: AbortSignal }): Promise<AgentRun>;
}

/** `EventSource.CLOSED`: it was refused, or told that nothing follows. */
const CLOSED = 2;

/**
 * Make a source that connects by `EventSource`, with a fresh ticket each time.
 *
 * An `EventSource` reconnects by itself after a cut, and its ticket lets it. It shows no pings, so
 * a silent connection is not noticed.
 */
export function eventSourceSource(
  tickets: Tickets,
  agent: string,
  EventSource: EventSourceClass,
): Source {
  return async ({ runId = "", lastEventId }, signal) => {
    const { url } = await tickets.streamTicket(agent, runId, { signal });
    const cursor = lastEventId > 0 ? `&lastEventId=${lastEventId}` : "";
    const frames = received(new EventSource(url + cursor), signal);
    if (!(await frames.next()).done) return { isReplay: true, frames: () => frames };
    // It does not say whether that was a 204 or a refusal.
    if (isUnderWay(await tickets.get(runId, { signal })))
      throw new ConnectionFailedError("The EventSource was refused.");
    return undefined;
  };
}

/** Yield what an `EventSource` receives, and nothing once it is open; close it when nobody reads on. */
async function* received(
  source: EventSourceLike,
  signal: AbortSignal,
): AsyncGenerator<Frame[], void> {
  let frames: Frame[] | undefined;
  let wake: () => void = () => undefined;
  const tell = (): void => {
    wake();
  };
  const closed = linkedTo(signal);
  closed.signal.addEventListener("abort", tell);
  source.addEventListener("error", tell);
  source.addEventListener("open", () => {
    frames ??= [];
    wake();
  });
  source.addEventListener("message", ({ lastEventId, data }: Message) => {
    (frames ??= []).push({ id: Number(lastEventId), data });
    wake();
  });
  try {
    for (;;) {
      signal.throwIfAborted();
      const batch = frames;
      frames = undefined;
      if (batch) yield batch;
      else if (source.readyState === CLOSED) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    closed.abort();
    source.close();
  }
}
