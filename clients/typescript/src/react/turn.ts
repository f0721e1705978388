import { Answer } from "../answer.js";
import type { RunEvent } from "../events.js";
import type { AgentRun, Decision, Media, Metrics, RequiredAction, RunOptions, RunStatus } from "../models.js";
import type { AssistantMessage, OpenApproval } from "./messages.js";

/** How a turn is begun again: by its run, or by its key if the run's id is not known yet. */
export interface TurnRecord {
  readonly key: string;
  readonly message: string;
  readonly media: Media[];
  readonly options?: RunOptions | undefined;
  readonly runId?: string | undefined;
}

/** A message and the run that answers it, over all of its streams. */
export class Turn {
  readonly key: string;
  readonly message: string;
  readonly media: Media[];
  readonly options: RunOptions | undefined;
  runId: string | undefined;
  sessionId: string | undefined;
  lastEventId = 0;
  /** Whether it was stopped. */
  isUnwanted = false;
  status: RunStatus = "QUEUED";
  requiredAction: RequiredAction | undefined;
  readonly decisions = new Map<string, Decision>();
  readonly #answer = new Answer();
  #error: string | undefined;
  #followups: readonly string[] = [];
  #metrics: Metrics | undefined;
  #output: string | undefined;

  constructor({ key, message, media, options, runId }: TurnRecord) {
    this.key = key;
    this.message = message;
    this.media = media;
    this.options = options;
    this.runId = runId;
  }

  get isUnderWay(): boolean {
    return this.status === "QUEUED" || this.status === "RUNNING";
  }

  get isOver(): boolean {
    return !this.isUnderWay && !this.isPaused;
  }

  get isPaused(): boolean {
    return this.status === "PAUSED";
  }

  get record(): TurnRecord {
    const { key, message, media, options, runId } = this;
    return { key, message, media, options, runId };
  }

  get approvals(): OpenApproval[] {
    return (this.requiredAction?.approvals ?? []).map((call) => {
      const decision = this.decisions.get(call.id);
      return decision ? { ...call, decision } : call;
    });
  }

  /** The answer so far; none before the run has begun. */
  get answer(): AssistantMessage | undefined {
    if (this.runId === undefined) return undefined;
    return {
      id: this.runId,
      role: "assistant",
      text: this.#output ?? this.#answer.text,
      reasoning: this.#answer.reasoning,
      tools: this.#answer.tools,
      status: this.status,
      followups: this.#followups,
      ...(this.#error !== undefined && { error: this.#error }),
      ...(this.#metrics && { metrics: this.#metrics }),
    };
  }

  /** Take the next event into account. */
  apply(event: RunEvent): void {
    this.lastEventId = event.id;
    this.#answer.apply(event);
    switch (event.event) {
      case "START":
        this.runId = event.runId;
        this.sessionId = event.sessionId;
        this.#moveTo("RUNNING");
        break;
      case "METRICS":
        this.#metrics = event.metrics;
        break;
      case "STOP":
        this.#followups = event.followups ?? [];
        this.#moveTo("COMPLETED");
        break;
      case "ERROR":
        this.#error = event.message;
        this.#moveTo("FAILED");
        break;
      case "CANCELLED":
        this.#error = event.reason;
        this.#moveTo("CANCELLED");
        break;
      case "PAUSED":
        this.#moveTo("PAUSED");
        this.requiredAction = event.requiredAction;
        break;
    }
  }

  /** Take the record of a run whose events are not there any more. */
  settle(run: AgentRun): void {
    this.#output = run.output;
    this.#error = run.errorMessage;
    this.#moveTo(run.status);
    this.requiredAction = run.requiredAction;
  }

  #moveTo(status: RunStatus): void {
    this.status = status;
    this.requiredAction = undefined;
    this.decisions.clear();
  }
}
