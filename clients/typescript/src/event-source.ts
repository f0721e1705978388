import type { Frame } from "./wire/connection.js";
import { ConnectionFailedError } from "./errors.js";
import type { AgentRun, StreamTicket } from "./models.js";
import type { Source } from "./wire/source.js";
import { orAborted } from "./wire/waiting.js";

/** What is used of a browser's `EventSource`. */
export interface EventSourceLike {
  // Not all that have `fetch` have the types of a browser's events.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  addEventListener(type: string, listener: (event: any) => void): void;
  readonly readyState: number;
  close(): void;
}

export type EventSourceClass = new (url: string) => EventSourceLike;

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
  return {
    open: async ({ runId = "", lastEventId }, { signal }) => {
      const { url } = await tickets.streamTicket(agent, runId, { signal });
      const cursor = lastEventId > 0 ? `&lastEventId=${String(lastEventId)}` : "";
      const inbox = new Inbox(new EventSource(url + cursor), signal);
      if (await inbox.isOpen()) return { isReplay: true, frames: () => inbox.frames() };
      // It does not say whether that was a 204 or a refusal.
      const { status } = await tickets.get(runId, { signal });
      if (status !== "RUNNING" && status !== "QUEUED") return undefined;
      throw new ConnectionFailedError("The EventSource was refused.");
    },
  };
}

/** What an `EventSource` has received, until it is read. */
class Inbox {
  readonly #source: EventSourceLike;
  readonly #signal: AbortSignal;
  #frames: Frame[] = [];
  #wasOpened = false;
  #wake: (() => void) | undefined;

  constructor(source: EventSourceLike, signal: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
    source.addEventListener("open", () => {
      this.#wasOpened = true;
      this.#wake?.();
    });
    source.addEventListener("message", ({ lastEventId, data }: { lastEventId: string; data: string }) => {
      this.#frames.push({ id: Number(lastEventId), data });
      this.#wake?.();
    });
    source.addEventListener("error", () => this.#wake?.());
  }

  /** Wait until it is open; false if it was refused. */
  async isOpen(): Promise<boolean> {
    try {
      while (!this.#wasOpened && !this.#isClosed()) await this.#news();
    } catch (error) {
      this.#source.close();
      throw error;
    }
    return this.#wasOpened;
  }

  /** Yield what comes; close it when nobody reads on. */
  async *frames(): AsyncGenerator<Frame[], void> {
    try {
      for (;;) {
        const frames = this.#frames;
        this.#frames = [];
        if (frames.length > 0) yield frames;
        else if (this.#isClosed()) return;
        else await this.#news();
      }
    } finally {
      this.#source.close();
    }
  }

  #isClosed(): boolean {
    return this.#source.readyState === CLOSED;
  }

  #news(): Promise<void> {
    return orAborted(this.#signal, (resolve) => {
      this.#wake = resolve;
      return () => (this.#wake = undefined);
    });
  }
}
