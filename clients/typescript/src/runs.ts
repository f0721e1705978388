import { type EventSourceClass, eventSourceSource } from "./event-source.js";
import type {
  AgentRun,
  Budget,
  Decision,
  Media,
  QueuedRun,
  RunOptions,
  RunResponse,
  RunResult,
  RunStatus,
  StreamTicket,
  Webhook,
} from "./models.js";
import { pages } from "./pages.js";
import { RunStream, type StreamOptions } from "./run-stream.js";
import { attachTo, resumeBy, startBy } from "./wire/source.js";
import { type CallOptions, pathTo, type Request, type Transport } from "./wire/transport.js";
import { watchRuns, type WatchOptions } from "./watching.js";

/** How a run is started. */
export interface StartOptions extends CallOptions {
  /** The conversation to continue; default: a new one. */
  sessionId?: string | undefined;
  media?: Media[] | undefined;
  options?: RunOptions | undefined;
  webhook?: Webhook | undefined;
  /** Whether to suggest follow-up questions. */
  generateFollowups?: boolean | undefined;
  /** Whose run it is, if the token may act for others. */
  userId?: string | undefined;
  /** What to do while another run uses the session; default: `reject`. */
  sessionPolicy?: "reject" | "enqueue" | "interrupt" | undefined;
  /** Default: a fresh one. The same key leads to the same run, for 24 hours. */
  idempotencyKey?: string | undefined;
}

/** A decision: of all pending calls, or of each. */
export type Verdict = { action: "APPROVE" | "REJECT"; reason?: string } | readonly Decision[];

export interface ResumeOptions extends StreamOptions {
  /** The larger budget, if the run waits for one. */
  budget?: Budget | undefined;
  /** Of `requiredAction`, if it is known; saves a request. */
  approvalId?: string | undefined;
}

export interface ListRunsOptions extends CallOptions {
  status?: RunStatus | undefined;
  agentId?: string | undefined;
  sessionId?: string | undefined;
  userId?: string | undefined;
}

/** `create` may wait for as long as the run takes; this is the longest that the API answers at all. */
const LONGEST_ANSWER_MS = 16 * 60_000;
const MOST_IDS = 100;

/** Approve all pending calls. */
export function approve(): Verdict {
  return { action: "APPROVE" };
}

/** Reject all pending calls; the model is told the reason. */
export function reject(reason?: string): Verdict {
  return { action: "REJECT", ...(reason !== undefined && { reason }) };
}

/** Runs: `client.runs`. */
export class Runs {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Start a run, once the stream is read, and stream its events. */
  stream(agent: string, message: string, options: StartOptions & StreamOptions = {}): RunStream {
    const request = startRequest(agent, message, "/stream", options);
    const learnsId = options.cancelOnAbort === true && options.signal !== undefined;
    const source = startBy(this.#transport, agent, request, learnsId);
    return new RunStream(this.#transport, source, { agentId: agent }, options);
  }

  /** Stream the events of a run that was started elsewhere, after the event `after`. */
  attach(
    agent: string,
    runId: string,
    options: StreamOptions & { after?: number | undefined } = {},
  ): RunStream {
    const source = attachTo(this.#transport, agent);
    const beginning = { agentId: agent, runId, after: options.after };
    return new RunStream(this.#transport, source, beginning, options);
  }

  /**
   * Stream the events of a run through a browser's own `EventSource`, with tickets instead of a
   * token.
   *
   * @param options.EventSource Default: the global one.
   */
  eventSource(
    agent: string,
    runId: string,
    options: StreamOptions & {
      after?: number | undefined;
      EventSource?: EventSourceClass | undefined;
    } = {},
  ): RunStream {
    const { EventSource = globalThis.EventSource } = options;
    const source = eventSourceSource(this, agent, EventSource);
    const beginning = { agentId: agent, runId, after: options.after };
    return new RunStream(this.#transport, source, beginning, options);
  }

  /**
   * Run an agent and wait for the answer; safe to repeat, by its key.
   *
   * @throws RunFailedError The run failed.
   */
  async create(agent: string, message: string, options: StartOptions = {}): Promise<RunResult> {
    const request = startRequest(agent, message, "", options);
    const { content: text, reasoningSteps, ...rest } = await this.#transport.json<RunResponse>(
      { ...request, timeoutMs: LONGEST_ANSWER_MS },
      options,
    );
    const absent = { followups: [], metrics: undefined, requiredAction: undefined };
    const reasoning = reasoningSteps.join("");
    return { ...absent, ...rest, text, reasoning, error: undefined };
  }

  /** Queue a run, which a worker executes whether anybody looks at it or not. */
  async background(agent: string, message: string, options: StartOptions = {}): Promise<QueuedRun> {
    const request = startRequest(agent, message, "/background", options);
    return this.#transport.json({ ...request, direct: false }, options);
  }

  /** Read a run. */
  async get(runId: string, options?: CallOptions): Promise<AgentRun> {
    return this.#transport.get(pathTo`/api/v1/runs/${runId}`, options);
  }

  /**
   * Read many runs, 100 in a request; their texts are cut to 4096 bytes.
   *
   * @param options.fields `summary` leaves the texts out.
   * @returns The runs by their ids; those that the caller may not see are absent.
   */
  async getMany(
    agent: string,
    runIds: Iterable<string>,
    options: CallOptions & { fields?: "summary" | undefined } = {},
  ): Promise<Map<string, AgentRun>> {
    const wanted = [...new Set(runIds)];
    const found = new Map<string, AgentRun>();
    for (let first = 0; first < wanted.length; first += MOST_IDS) {
      const asked = wanted.slice(first, first + MOST_IDS).join(",");
      const query = { runIds: asked, fields: options.fields };
      const path = pathTo`/api/agents/${agent}/runs/status`;
      const runs: AgentRun[] = await this.#transport.get(path, options, query);
      for (const run of runs) found.set(run.id, run);
    }
    return found;
  }

  /**
   * Poll a run until it has ended or is PAUSED.
   *
   * @returns The run, with its whole answer.
   * @throws NotFoundError There is no such run.
   */
  async wait(agent: string, runId: string, options: WatchOptions = {}): Promise<AgentRun> {
    await this.waitAll(agent, [runId], { fields: "summary", ...options });
    return this.get(runId, options);
  }

  /**
   * Poll runs until all have ended or are PAUSED: one request for all, every 3 s.
   *
   * @returns The runs by their ids, as in `getMany`; ids that stay unknown are absent.
   */
  waitAll(
    agent: string,
    runIds: Iterable<string>,
    options: WatchOptions = {},
  ): Promise<Map<string, AgentRun>> {
    return watchRuns((ids) => this.getMany(agent, ids, options), runIds, options);
  }

  /** List runs, the newest first, over all pages. */
  list(options?: ListRunsOptions): AsyncGenerator<AgentRun, void> {
    return pages(this.#transport, "/api/v1/runs", options);
  }

  /** Cancel a run; safe to repeat, also for a run that has ended. */
  async cancel(runId: string, options?: CallOptions): Promise<void> {
    return this.#transport.post(pathTo`/api/v1/runs/${runId}/cancel`, options);
  }

  /**
   * Decide what a paused run waits for, once the stream is read, and stream what follows.
   *
   * If the answer is lost, the run is looked at before the decision is sent again.
   */
  resume(agent: string, runId: string, verdict: Verdict, options: ResumeOptions = {}): RunStream {
    const decision = "action" in verdict ? verdict : { decisions: verdict };
    const request: Request = {
      method: "POST",
      path: pathTo`/api/agents/${agent}/runs/${runId}/continue`,
      body: { ...decision, budget: options.budget },
      direct: true,
    };
    const source = resumeBy(this.#transport, agent, request, options.approvalId);
    const beginning = { agentId: agent, runId, isPart: true };
    return new RunStream(this.#transport, source, beginning, options);
  }

  /** Get a ticket for an `EventSource`: one run, one connection, 60 s. */
  async streamTicket(agent: string, runId: string, options?: CallOptions): Promise<StreamTicket> {
    return this.#transport.post(pathTo`/api/agents/${agent}/runs/${runId}/stream-ticket`, options);
  }
}

function startRequest(agent: string, message: string, form: string, asked: StartOptions): Request {
  const { sessionId, media, options, webhook, generateFollowups, userId } = asked;
  return {
    method: "POST",
    path: pathTo`/api/agents/${agent}/runs` + form,
    headers: {
      "Idempotency-Key": asked.idempotencyKey ?? freshKey(),
      "X-Session-Policy": asked.sessionPolicy,
    },
    body: { message, sessionId, media, options, webhook, generateFollowups, userId },
    direct: true,
    repeatable: true,
  };
}

/** Make an Idempotency-Key. `crypto.randomUUID` is there only where a page was loaded by https. */
export function freshKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
