import { type Connection, type Frame, orSilence, readFrames } from "./connection.js";
import { ConflictError } from "../errors.js";
import { parseEvent } from "../events.js";
import type { AgentRun } from "../models.js";
import { pathTo, type Request, type Transport } from "./transport.js";
import { linkedTo } from "./waiting.js";

/** How far a run has been read. */
export interface Position {
  readonly runId: string | undefined;
  /** The id of the last event; 0 before the first. */
  readonly lastEventId: number;
  /** Take note of which run it is, as soon as that is known. */
  identify(runId: string | undefined, sessionId: string | undefined): void;
}

/** Where the events of a run come from. */
export interface Source {
  /**
   * Connect, so that the events after the last one follow.
   *
   * @param controller Ends the connection.
   * @returns `undefined` if nothing follows.
   */
  open(position: Position, controller: AbortController): Promise<Connection | undefined>;
}

/** Attach to a run, after the last event that has been read. */
export class AttachSource implements Source {
  readonly #transport: Transport;
  readonly #agent: string;

  constructor(transport: Transport, agent: string) {
    this.#transport = transport;
    this.#agent = agent;
  }

  open(
    position: Position,
    controller: AbortController,
  ): Promise<Connection | undefined> {
    const { runId = "", lastEventId } = position;
    const request: Request = {
      method: "GET",
      path: pathTo`/api/agents/${this.#agent}/runs/${runId}/stream`,
      headers: { "Last-Event-ID": lastEventId > 0 ? String(lastEventId) : undefined },
      direct: true,
    };
    return connect(this.#transport, request, controller);
  }
}

/** Start a run; attach to it once an event has come. */
export class StartSource implements Source {
  readonly #transport: Transport;
  readonly #request: Request;
  readonly #attach: Source;
  /** Whether an abort waits until the run's id is known, so that the run can be cancelled. */
  readonly #learnsId: boolean;

  constructor(transport: Transport, agent: string, request: Request, learnsId: boolean) {
    this.#transport = transport;
    this.#request = request;
    this.#attach = new AttachSource(transport, agent);
    this.#learnsId = learnsId;
  }

  open(position: Position, controller: AbortController): Promise<Connection | undefined> {
    if (position.lastEventId > 0) return this.#attach.open(position, controller);
    // The same key, so that the same run answers if it has begun.
    return connect(this.#transport, this.#request, controller, this.#learnsId);
  }
}

/** Decide a paused run; attach to it once an event has come. */
export class ResumeSource implements Source {
  readonly #transport: Transport;
  readonly #request: Request;
  readonly #attach: Source;
  #approvalId: string | undefined;
  #isInDoubt = false;

  constructor(transport: Transport, agent: string, request: Request, approvalId?: string) {
    this.#transport = transport;
    this.#request = request;
    this.#attach = new AttachSource(transport, agent);
    this.#approvalId = approvalId;
  }

  async open(position: Position, controller: AbortController): Promise<Connection | undefined> {
    if (position.lastEventId > 0) return this.#attach.open(position, controller);
    // Without this, a decision that is sent again could decide the run's next pause, unseen.
    this.#approvalId ??= (await this.#look(position, controller)).requiredAction?.approvalId;
    if (this.#isInDoubt && !(await this.#isStillPaused(position, controller)))
      return this.#readOn(position, controller);
    const wasInDoubt = this.#isInDoubt;
    this.#isInDoubt = true;
    try {
      return await connect(this.#transport, this.#request, controller);
    } catch (error) {
      if (error instanceof ConflictError && wasInDoubt) return this.#readOn(position, controller);
      throw error;
    }
  }

  async #isStillPaused(position: Position, controller: AbortController): Promise<boolean> {
    const { status, requiredAction } = await this.#look(position, controller);
    return status === "PAUSED" && requiredAction?.approvalId === this.#approvalId;
  }

  #look({ runId = "" }: Position, controller: AbortController): Promise<AgentRun> {
    return this.#transport.get(pathTo`/api/v1/runs/${runId}`, controller);
  }

  /** Replay the run, and leave out what came before it was decided. */
  async #readOn(position: Position, controller: AbortController): Promise<Connection | undefined> {
    const connection = await this.#attach.open(position, controller);
    const approvalId = this.#approvalId;
    return (
      connection && {
        ...connection,
        frames: (onRetry) => afterPause(connection.frames(onRetry), approvalId),
      }
    );
  }
}

async function* afterPause(
  batches: AsyncGenerator<Frame[], void>,
  approvalId: string | undefined,
): AsyncGenerator<Frame[], void> {
  let isBefore = true;
  for await (const batch of batches) {
    const found = batch.findIndex(({ id, data }) => {
      const event = parseEvent(id, data);
      return event.event === "PAUSED" && event.requiredAction.approvalId === approvalId;
    });
    if (!isBefore) yield batch;
    else if (found >= 0) {
      isBefore = false;
      yield batch.slice(found + 1);
    }
  }
}

/** Send a request whose answer is a stream; `learnsId` lets an abort wait for the answer's head. */
async function connect(
  transport: Transport,
  request: Request,
  { signal }: AbortController,
  learnsId = false,
): Promise<Connection | undefined> {
  signal.throwIfAborted();
  const { silenceMs } = transport.settings;
  const own = linkedTo(signal, () => (learnsId ? sent : undefined));
  const headers = { Accept: "text/event-stream", ...request.headers };
  const sent: Promise<Response> = transport.send({ ...request, headers }, own.controller.signal);
  let response: Response | undefined;
  try {
    response = await orSilence(sent, own.controller, silenceMs);
  } finally {
    if (response?.status !== 200) own.release();
  }
  if (response.status === 204) return undefined;
  const { headers: said, body } = response;
  return {
    runId: said.get("X-Run-Id") ?? undefined,
    sessionId: said.get("X-Session-Id") ?? undefined,
    isReplay: request.method === "GET" || said.has("Idempotent-Replayed"),
    async *frames(onRetry) {
      try {
        yield* readFrames(body, own.controller, silenceMs, onRetry);
      } finally {
        own.controller.abort();
        own.release();
      }
    },
  };
}

