import type { ToolActivity } from "../answer.js";
import type {
  Budget,
  Decision,
  Json,
  Media,
  Metrics,
  PauseType,
  PendingApproval,
  RunOptions,
  RunStatus,
} from "../models.js";

/** What the user has said. */
export interface UserMessage {
  readonly id: string;
  readonly role: "user";
  readonly text: string;
  readonly media: readonly Media[];
}

/** What the agent has answered, or is answering. */
export interface AssistantMessage {
  /** The run's id. */
  readonly id: string;
  readonly role: "assistant";
  readonly text: string;
  readonly reasoning: string;
  readonly tools: readonly ToolActivity[];
  readonly status: RunStatus;
  /** Why a run has failed, or was cancelled. */
  readonly error?: string;
  readonly followups: readonly string[];
  readonly metrics?: Metrics;
}

export type ChatMessage = UserMessage | AssistantMessage;

/**
 * What is going on.
 *
 * - `idle`: nothing; also after an answer.
 * - `connecting`: a message or a decision is being sent.
 * - `streaming`: the agent is at work.
 * - `reconnecting`: the connection broke; the agent is at work.
 * - `paused`: the run waits for a decision; see `pause` and `approvals`.
 * - `stopped`: the run was cancelled.
 * - `failed`: the run failed, or cannot be read; see `error`.
 */
export type AgentRunStatus =
  | "idle"
  | "connecting"
  | "streaming"
  | "reconnecting"
  | "paused"
  | "stopped"
  | "failed";

/** A tool call that waits, with what was decided if others still wait. */
export interface OpenApproval extends PendingApproval {
  readonly decision?: Decision;
}

/** What a component shows. */
export interface ConversationState {
  readonly messages: readonly ChatMessage[];
  readonly status: AgentRunStatus;
  readonly error: Error | undefined;
  /** The conversation's id, once it is known. */
  readonly sessionId: string | undefined;
  /** The id of the last run, once it is known. */
  readonly runId: string | undefined;
  /** What the run waits for: an approval, a tool in doubt, a larger budget. */
  readonly pause: PauseType | undefined;
  /** The calls that wait; none if the run waits for a budget. */
  readonly approvals: readonly OpenApproval[];
}

export interface SendOptions {
  media?: Media[];
  /** What the run uses instead of its agent's defaults. */
  options?: RunOptions | undefined;
}

/** What a component does. All return at once; what goes wrong is in `error`. */
export interface ConversationActions {
  /**
   * Send a message.
   *
   * @throws Error A run is under way: wait, or stop it.
   */
  readonly send: (message: string, options?: SendOptions) => void;
  /** Cancel the run. */
  readonly stop: () => void;
  /** Approve a call; the run goes on once all calls that wait are decided. */
  readonly approve: (id: string, options?: { arguments?: Record<string, Json>; result?: Json }) => void;
  /** Reject a call, likewise. */
  readonly reject: (id: string, reason?: string) => void;
  /** Approve all that wait, or give the run the larger budget that it waits for. */
  readonly approveAll: (options?: { budget?: Budget }) => void;
  /** Reject all that wait. */
  readonly rejectAll: (reason?: string) => void;
  /** Read on, after the run could not be read. */
  readonly reconnect: () => void;
}
