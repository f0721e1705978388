import { Answer } from "./answer.js";
import type { RunEvent } from "./events.js";
import type { Metrics, RequiredAction, RunResult, RunStatus } from "./models.js";
import type { Position } from "./wire/source.js";

/** Where a stream begins. */
export interface Beginning {
  readonly agentId: string;
  readonly runId?: string | undefined;
  /** The id of the last event that is known already. */
  readonly after?: number | undefined;
  /** Whether what the run has said before is missing here; default: whether `after` is given. */
  readonly isPart?: boolean;
}

/** What a stream has learnt of its run so far. */
export class RunState implements Position {
  readonly answer = new Answer();
  readonly agentId: string;
  /** Whether what the run has said before this stream is missing. */
  readonly isPart: boolean;
  runId: string | undefined;
  sessionId: string | undefined;
  lastEventId: number;
  status: RunStatus = "RUNNING";
  requiredAction: RequiredAction | undefined;
  followups: readonly string[] = [];
  metrics: Metrics | undefined;
  error: string | undefined;
  /** Called once the run's id is known. */
  onIdentified: () => void = () => undefined;

  constructor({ agentId, runId, after = 0, isPart = after > 0 }: Beginning) {
    this.agentId = agentId;
    this.runId = runId;
    this.lastEventId = after;
    this.isPart = isPart;
  }

  identify(runId: string | undefined, sessionId: string | undefined): void {
    this.runId ??= runId;
    this.sessionId ??= sessionId;
    if (this.runId !== undefined) this.onIdentified();
  }

  /** Take the next event into account. */
  apply(event: RunEvent): void {
    this.lastEventId = event.id;
    this.answer.apply(event);
    switch (event.event) {
      case "START":
        this.identify(event.runId, event.sessionId);
        this.status = "RUNNING";
        this.requiredAction = undefined;
        break;
      case "METRICS":
        this.metrics = event.metrics;
        break;
      case "STOP":
        this.status = "COMPLETED";
        this.followups = event.followups ?? [];
        break;
      case "ERROR":
        this.status = "FAILED";
        this.error = event.message;
        break;
      case "CANCELLED":
        this.status = "CANCELLED";
        this.requiredAction = undefined;
        this.error = event.reason;
        break;
      case "PAUSED":
        this.status = "PAUSED";
        this.requiredAction = event.requiredAction;
        break;
    }
  }

  /** Sum up. */
  result(runId: string): RunResult {
    const { sessionId = "", agentId, status, answer } = this;
    const { followups, metrics, requiredAction, error } = this;
    const { text, reasoning } = answer;
    const tools = answer.tools.flatMap((tool) =>
      tool.state === "running"
        ? []
        : {
            id: tool.callId,
            toolName: tool.name,
            toolInput: tool.arguments,
            toolOutput: tool.error ?? tool.result ?? null,
            isError: tool.state === "failed",
          },
    );
    const said = { text, reasoning, tools, followups };
    return { runId, sessionId, agentId, status, ...said, metrics, requiredAction, error };
  }
}
