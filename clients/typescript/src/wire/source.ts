import { type Connection, inTime, readFrames, throwLost } from "./connection.js";
import { ConflictError } from "../errors.js";
import type { RunEvent } from "../events.js";
import type { AgentRun } from "../models.js";
import { pathTo, type Request, type Transport, unreadable } from "./transport.js";
import { linkedTo } from "./waiting.js";

/** How far a run has been read. */
export interface Position {
  readonly runId: string | undefined;
  /** The id of the last event; 0 before the first. */
  readonly lastEventId: number;
  /** Whether what the run has said before is missing, and with it the first id if `lastEventId` is 0. */
  readonly isPart: boolean;
  /** Take note of which run it is, as soon as that is known. */
  identify(runId: string | undefined, sessionId: string | undefined): void;
}

/** Connects to a run, so that the events after the last one follow; `undefined` if nothing does. */
export type Source = (position: Position, signal: AbortSignal) => Promise<Connection | undefined>;

/** Attach to a run, after the last event that has been read. */
export function attachTo(transport: Transport, agent: string): Source {
  return ({ runId = "", lastEventId }, signal) => {
    const request: Request = {
      method: "GET",
      path: pathTo`/api/agents/${agent}/runs/${runId}/stream`,
      headers: { "Last-Event-ID": lastEventId > 0 ? lastEventId : undefined },
      direct: true,
    };
    return connect(transport, request, signal);
  };
}

/**
 * Start a run; attach to it once an event has come.
 *
 * @param learnsId Whether an abort waits until the run's id is known, so that it can be cancelled.
 */
export function startBy(
  transport: Transport,
  agent: string,
  request: Request,
  learnsId: boolean,
): Source {
  // The same key, so that the same run answers if it has begun.
  const start: Source = (_, signal) => connect(transport, request, signal, learnsId);
  return atFirst(start, attachTo(transport, agent));
}

/**
 * Decide a paused run; attach to it once an event has come.
 *
 * @param approvalId Of the pause; default: that of the run's pause when this is read.
 */
export function resumeBy(
  transport: Transport,
  agent: string,
  request: Request,
  approvalId: string | undefined,
): Source {
  const attach = attachTo(transport, agent);
  let isInDoubt = false;
  return atFirst(async (position, signal) => {
    const look = async (): Promise<AgentRun> =>
      transport.get(pathTo`/api/v1/runs/${position.runId ?? ""}`, { signal });
    const readOn = async (): Promise<Connection | undefined> =>
      afterPause(await attach(position, signal), approvalId);
    // Without this, a decision that is sent again could decide the run's next pause, unseen.
    approvalId ??= (await look()).requiredAction?.approvalId;
    const wasInDoubt = isInDoubt;
    if (wasInDoubt) {
      const { status, requiredAction } = await look();
      if (status !== "PAUSED" || requiredAction?.approvalId !== approvalId) return readOn();
    }
    isInDoubt = true;
    try {
      return await connect(transport, request, signal);
    } catch (error) {
      if (wasInDoubt && error instanceof ConflictError) return readOn();
      throw error;
    }
  }, attach);
}

/** Connect in one way until an event has come, and in another from then on. */
function atFirst(first: Source, then: Source): Source {
  return (position, signal) => (position.lastEventId > 0 ? then : first)(position, signal);
}

/** Leave out of a replay what came before the run was decided. */
function afterPause(
  connection: Connection | undefined,
  approvalId: string | undefined,
): Connection | undefined {
  let isAfter = false;
  const isHad = (event: RunEvent): boolean => {
    if (isAfter) return false;
    isAfter = event.event === "PAUSED" && event.requiredAction.approvalId === approvalId;
    return true;
  };
  return connection && { ...connection, isHad };
}

/** Refuse what is no stream: a proxy's page would be taken for one that has been lost. */
async function streamOf(response: Response): Promise<Response> {
  const kind = response.headers.get("Content-Type") ?? "";
  if (response.status === 204 || /^text\/event-stream\b/i.test(kind)) return response;
  throw unreadable(response, "event stream", await response.text());
}

/** Send a request whose answer is a stream; `learnsId` lets an abort wait for the answer's head. */
async function connect(
  transport: Transport,
  request: Request,
  signal: AbortSignal,
  learnsId = false,
): Promise<Connection | undefined> {
  signal.throwIfAborted();
  const { silenceMs } = transport.settings;
  const own = linkedTo(learnsId ? undefined : signal);
  const headers = { Accept: "text/event-stream", ...request.headers };
  const sent = transport.send({ ...request, headers }, own.signal).then(streamOf).catch(throwLost);
  const { status, headers: said, body } = await inTime(sent, own, silenceMs);
  // An abort that has waited for the head ends the connection now.
  linkedTo(signal, own);
  if (status === 204) {
    own.abort();
    return undefined;
  }
  return {
    runId: said.get("X-Run-Id") ?? undefined,
    sessionId: said.get("X-Session-Id") ?? undefined,
    isReplay: request.method === "GET" || said.has("Idempotent-Replayed"),
    async *frames(onRetry) {
      try {
        yield* readFrames(body, own, silenceMs, onRetry);
      } finally {
        own.abort();
      }
    },
  };
}
