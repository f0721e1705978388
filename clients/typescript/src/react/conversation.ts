import type { Agentrun } from "../client.js";
import { ConflictError, NotFoundError } from "../errors.js";
import type { Budget, Decision } from "../models.js";
import type { RunStream, StreamOptions } from "../run-stream.js";
import { approve, freshKey, reject, type Verdict } from "../runs.js";
import type {
  AgentRunStatus,
  ChatMessage,
  ConversationActions,
  ConversationState,
} from "./messages.js";
import { Place } from "./storage.js";
import { Turn } from "./turn.js";
import { Updates } from "./updates.js";

export interface ConversationOptions {
  client: Agentrun;
  agent: string;
  /** The conversation to continue; default: a new one. */
  sessionId?: string | undefined;
  /** Where in `sessionStorage` it outlives a reload; null: nowhere. */
  storageKey?: string | null | undefined;
  /** A run of the conversation that was begun elsewhere, and its message: it is read as well. */
  run?: { readonly runId: string; readonly message: string } | undefined;
  /** Whether to ask for follow-up questions. */
  generateFollowups?: boolean | undefined;
}

/** What is shown before anything has happened, also on a server. */
export const NOTHING: ConversationState = {
  messages: [],
  status: "idle",
  error: undefined,
  sessionId: undefined,
  runId: undefined,
  pause: undefined,
  approvals: [],
};

/** A conversation with an agent, which components watch; React is not needed for it. */
export class Conversation {
  readonly actions: ConversationActions;
  readonly #options: ConversationOptions;
  readonly #updates: Updates<ConversationState>;
  #place: Place | undefined;
  #wasRestored = false;
  #sessionId: string | undefined;
  /** The messages of earlier turns, and what the user said in this one. */
  #messages: readonly ChatMessage[] = [];
  #turn: Turn | undefined;
  #status: AgentRunStatus = "idle";
  #error: Error | undefined;
  /** Ends the stream that is being read. */
  #reader: AbortController | undefined;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#sessionId = options.sessionId;
    this.#updates = new Updates(NOTHING, () => this.#state());
    this.actions = {
      send: (message, { media = [], options } = {}) => {
        this.#send(new Turn({ key: freshKey(), message, media, options }));
      },
      stop: () => void this.#stop(),
      approve: (id, given = {}) => {
        this.#decide({ id, action: "APPROVE", ...given });
      },
      reject: (id, reason) => {
        this.#decide({ id, action: "REJECT", ...(reason !== undefined && { reason }) });
      },
      approveAll: ({ budget } = {}) => void this.#resume(approve(), budget),
      rejectAll: (reason) => void this.#resume(reject(reason)),
      reconnect: () => void this.#readOn(),
    };
  }

  readonly subscribe = (listener: () => void): (() => void) => this.#updates.subscribe(listener);

  readonly getState = (): ConversationState => this.#updates.state;

  /** Begin to read; what is returned stops that, and the run goes on. */
  readonly attach = (): (() => void) => {
    const { agent, sessionId = "", storageKey = `agentrun:${agent}:${sessionId}` } = this.#options;
    this.#place = storageKey === null ? undefined : Place.claim(storageKey);
    if (!this.#wasRestored) {
      this.#restore();
      this.#join();
    }
    this.#wasRestored = true;
    if (this.#turn && !this.#turn.isOver && this.#status !== "failed") void this.#readOn();
    return () => {
      this.#reader?.abort();
      this.#reader = undefined;
      this.#place?.release();
      this.#place = undefined;
    };
  };

  #restore(): void {
    const stored = this.#place?.read();
    if (!stored) return;
    this.#sessionId ??= stored.sessionId;
    this.#messages = stored.messages;
    if (stored.turn) this.#turn = new Turn(stored.turn);
    this.#updates.now();
  }

  /** Go on with a run that was begun elsewhere, unless it is here already. */
  #join(): void {
    const { run } = this.#options;
    if (!run || this.#turn || this.#messages.some(({ id }) => id === run.runId)) return;
    const turn = new Turn({ key: freshKey(), media: [], ...run });
    const { key: id, message: text, media } = turn;
    this.#messages = [...this.#messages, { id, role: "user", text, media }];
    this.#turn = turn;
    this.#updates.now();
  }

  #send(turn: Turn): void {
    if (this.#turn?.isUnderWay && this.#status !== "failed")
      throw new Error("A run is under way: wait, or stop it.");
    this.#close();
    const { key: id, message: text, media } = turn;
    this.#messages = [...this.#messages, { id, role: "user", text, media }];
    this.#turn = turn;
    void this.#readOn();
  }

  /** Read the turn's run, from where it was left; start it if it has not begun. */
  async #readOn(): Promise<void> {
    const { client, agent, generateFollowups } = this.#options;
    const turn = this.#turn;
    if (!turn || this.#reader) return;
    const { runId, lastEventId: after, key: idempotencyKey, message, media, options } = turn;
    await this.#read(turn, runId === undefined ? "connecting" : "reconnecting", (reading) =>
      runId === undefined
        ? client.runs.stream(agent, message, {
            ...reading,
            idempotencyKey,
            options,
            sessionId: this.#sessionId,
            ...(generateFollowups !== undefined && { generateFollowups }),
            ...(media.length > 0 && { media }),
          })
        : client.runs.attach(agent, runId, { ...reading, after }),
    );
  }

  /** Follow a stream until it ends; say what came of it. */
  async #read(
    turn: Turn,
    status: AgentRunStatus,
    open: (options: StreamOptions) => RunStream,
  ): Promise<Error | undefined> {
    const reader = new AbortController();
    this.#reader = reader;
    this.#show(status, undefined);
    this.#save();
    const onReattach = (): void => {
      this.#show("reconnecting", undefined);
    };
    let failure: Error | undefined;
    try {
      const stream = open({ signal: reader.signal, onReattach });
      for await (const event of stream) {
        const isNew = turn.runId === undefined;
        turn.apply(event);
        this.#sessionId ??= turn.sessionId;
        if (isNew) this.#save();
        if (isNew && turn.isUnwanted) void this.#stop();
        this.#status = "streaming";
        this.#updates.soon();
      }
      if (turn.isUnderWay) await this.#settle(turn, reader.signal);
    } catch (error) {
      failure = error as Error;
    }
    // What has ended this reading goes on with the turn, or leaves it.
    if (reader.signal.aborted) return undefined;
    this.#reader = undefined;
    await this.#finish(turn, failure, reader.signal);
    return failure;
  }

  async #finish(turn: Turn, failure: Error | undefined, signal: AbortSignal): Promise<void> {
    let error = failure;
    if (failure instanceof NotFoundError && turn.runId !== undefined)
      error = await this.#settle(turn, signal).then(
        () => undefined,
        () => failure,
      );
    if (error !== undefined) this.#show(turn.isPaused ? "paused" : "failed", error);
    else if (turn.isPaused) this.#show("paused", undefined);
    else this.#end(turn);
  }

  /** Read how a run has ended whose events tell it no more. */
  async #settle(turn: Turn, signal: AbortSignal): Promise<void> {
    if (turn.runId === undefined) return;
    turn.settle(await this.#options.client.runs.get(turn.runId, { signal }));
  }

  #end(turn: Turn): void {
    const error = turn.answer?.error ?? "The run failed.";
    const hasFailed = turn.status === "FAILED";
    const status = turn.status === "CANCELLED" ? "stopped" : "idle";
    this.#show(hasFailed ? "failed" : status, hasFailed ? new Error(error) : undefined);
    this.#save();
  }

  /** Keep the answer of a turn that is over. */
  #close(): void {
    this.#messages = this.#all();
    this.#turn = undefined;
  }

  async #stop(): Promise<void> {
    const turn = this.#turn;
    if (!turn) return;
    // Before its first event the run is not known; it is cancelled with that.
    turn.isUnwanted = true;
    if (turn.runId === undefined) return;
    try {
      await this.#options.client.runs.cancel(turn.runId);
      if (turn.isPaused) await this.#readOn();
    } catch (error) {
      this.#show(this.#status, error as Error);
    }
  }

  #decide(decision: Decision): void {
    const turn = this.#turn;
    if (!turn?.approvals.some(({ id }) => id === decision.id)) return;
    turn.decisions.set(decision.id, decision);
    const decided = [...turn.decisions.values()];
    if (decided.length === turn.approvals.length) void this.#resume(decided);
    else this.#updates.now();
  }

  async #resume(verdict: Verdict, budget?: Budget): Promise<void> {
    const { client, agent } = this.#options;
    const turn = this.#turn;
    const action = turn?.requiredAction;
    if (turn?.runId === undefined || !action || this.#reader) return;
    const { runId } = turn;
    const { approvalId } = action;
    const failure = await this.#read(turn, "connecting", (options) =>
      client.runs.resume(agent, runId, verdict, { ...options, budget, approvalId }),
    );
    if (failure === undefined || turn !== this.#turn) return;
    turn.decisions.clear();
    // Somebody else may have decided; if nobody has, the session is busy.
    if (failure instanceof ConflictError) await this.#readOn();
    if (turn.requiredAction === action) this.#show("paused", failure);
  }

  #show(status: AgentRunStatus, error: Error | undefined): void {
    this.#status = status;
    this.#error = error;
    this.#updates.now();
  }

  #save(): void {
    const turn = this.#turn;
    const isOpen = turn !== undefined && !turn.isOver;
    const messages = isOpen ? this.#messages : this.#all();
    const record = isOpen ? turn.record : undefined;
    this.#place?.write({ sessionId: this.#sessionId, messages, turn: record });
  }

  #all(): readonly ChatMessage[] {
    const answer = this.#turn?.answer;
    return answer ? [...this.#messages, answer] : this.#messages;
  }

  #state(): ConversationState {
    const isPaused = this.#status === "paused";
    return {
      messages: this.#all(),
      status: this.#status,
      error: this.#error,
      sessionId: this.#sessionId,
      runId: this.#turn?.runId,
      pause: isPaused ? this.#turn?.requiredAction?.type : undefined,
      approvals: isPaused ? (this.#turn?.approvals ?? []) : [],
    };
  }
}
