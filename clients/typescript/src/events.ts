import type { Json, Metrics, RequiredAction, RunStatus } from "./models.js";

interface Stamped {
  /** 1 upward within a run; unique, and higher than that of every event before it. */
  readonly id: number;
  /** Milliseconds since the Unix epoch. */
  readonly timestamp: number;
}

/** The run is durable; also said when it is continued or taken over, and takes nothing back. */
export interface StartEvent extends Stamped {
  readonly event: "START";
  readonly runId: string;
  readonly sessionId: string;
  readonly agentId: string;
}

/** The next fragment of the model's reasoning. */
export interface ReasoningDeltaEvent extends Stamped {
  readonly event: "REASONING_DELTA";
  readonly text: string;
}

/** The next fragment of the answer. */
export interface ContentDeltaEvent extends Stamped {
  readonly event: "CONTENT_DELTA";
  readonly text: string;
}

export interface ToolStartEvent extends Stamped {
  readonly event: "TOOL_START";
  readonly callId: string;
  readonly name: string;
  readonly arguments: Json;
}

export interface ToolEndEvent extends Stamped {
  readonly event: "TOOL_END";
  readonly callId: string;
  readonly name: string;
  readonly result: Json;
}

/** A tool failed, or its call was rejected; the run goes on. */
export interface ToolErrorEvent extends Stamped {
  readonly event: "TOOL_ERROR";
  readonly callId: string;
  readonly name: string;
  readonly error: string;
}

/** What events above `toEventId` have said is void; the step is made again. */
export interface StepResetEvent extends Stamped {
  readonly event: "STEP_RESET";
  readonly toEventId: number;
  readonly attempt: number;
  readonly reason: "EXECUTOR_LOST" | "HANDED_OVER" | "MODEL_INTERRUPTED";
}

export interface MetricsEvent extends Stamped {
  readonly event: "METRICS";
  readonly metrics: Metrics;
}

/** The run has COMPLETED. */
export interface StopEvent extends Stamped {
  readonly event: "STOP";
  readonly runId: string;
  readonly status: RunStatus;
  readonly followups?: readonly string[];
}

/** The run has FAILED; the message is safe to show. */
export interface ErrorEvent extends Stamped {
  readonly event: "ERROR";
  readonly message: string;
}

/** The run waits for a decision. */
export interface PausedEvent extends Stamped {
  readonly event: "PAUSED";
  readonly requiredAction: RequiredAction;
}

/** The run was CANCELLED. */
export interface CancelledEvent extends Stamped {
  readonly event: "CANCELLED";
  readonly reason: string;
}

/** An event that this version of the package does not know. */
export interface UnknownEvent extends Stamped {
  readonly event: "UNKNOWN";
  readonly name: string;
  readonly data: string;
}

/** An event of a run, told apart by `event`. */
export type RunEvent =
  | StartEvent
  | ReasoningDeltaEvent
  | ContentDeltaEvent
  | ToolStartEvent
  | ToolEndEvent
  | ToolErrorEvent
  | StepResetEvent
  | MetricsEvent
  | StopEvent
  | ErrorEvent
  | PausedEvent
  | CancelledEvent
  | UnknownEvent;

/**
 * Read an event.
 *
 * @param id The frame's id.
 * @param json The frame's data, an AgentStreamEvent.
 * @throws SyntaxError It is none: an id or the JSON is spoiled.
 */
export function parseEvent(id: number, json: string): RunEvent {
  const { event, data, timestamp } = (JSON.parse(json) ?? {}) as {
    event: string;
    data: string;
    timestamp: number;
  };
  if (!Number.isSafeInteger(id) || id < 1 || typeof data !== "string") throw new SyntaxError("No event.");
  const stamp = { id, timestamp };
  switch (event) {
    case "REASONING_DELTA":
    case "CONTENT_DELTA":
      return { ...stamp, event, text: data };
    case "START":
    case "STEP_RESET":
    case "STOP":
      return { ...(JSON.parse(data) as StartEvent | StepResetEvent | StopEvent), ...stamp, event } as RunEvent;
    case "TOOL_START":
    case "TOOL_END":
    case "TOOL_ERROR": {
      const { id: callId, ...rest } = JSON.parse(data) as { id: string };
      return { ...rest, callId, ...stamp, event } as RunEvent;
    }
    case "METRICS":
      return { ...stamp, event, metrics: JSON.parse(data) as Metrics };
    case "PAUSED":
      return { ...stamp, event, requiredAction: JSON.parse(data) as RequiredAction };
    case "ERROR":
      return { ...stamp, event, message: data };
    case "CANCELLED":
      return { ...stamp, event, reason: data };
    default:
      return { ...stamp, event: "UNKNOWN", name: event, data };
  }
}
