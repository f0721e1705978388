/** What the API sends and takes, field by field as in its OpenAPI document. */

/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

export type RunStatus = "QUEUED" | "RUNNING" | "PAUSED" | "COMPLETED" | "FAILED" | "CANCELLED";

/** A file that goes with a message. */
export interface Media {
  /** A MIME type, such as `image/png`. */
  type: string;
  /** Base64, or an http(s) URL of a public host. */
  data: string;
}

/** What a run may use instead of its agent's defaults. */
export interface RunOptions {
  /** One that the agent lists under `models`. */
  model?: string;
  /** 0 to 2. */
  temperature?: number;
  /** 1 to 65 536. */
  maxTokens?: number;
  systemPrompt?: string;
  maxCostUsd?: number;
  maxTotalTokens?: number;
}

/** Who is told when the run has paused or ended. */
export interface Webhook {
  url: string;
  events?: string[];
}

/** What a run used; a figure that is not known is absent. */
export interface Metrics {
  inputTokens?: number;
  outputTokens?: number;
  reasoningTokens?: number;
  totalTokens?: number;
  llmCalls?: number;
  model?: string;
  costUsd?: number;
  durationMs?: number;
}

export type PauseType = "TOOL_APPROVAL" | "TOOL_IN_DOUBT" | "BUDGET";

/** A tool call that waits for a decision. */
export interface PendingApproval {
  id: string;
  tool: string;
  toolName: string;
  arguments: Json;
}

/** What a PAUSED run waits for. */
export interface RequiredAction {
  type: PauseType;
  approvalId: string;
  /** Empty if the type is BUDGET. */
  approvals: PendingApproval[];
  tool?: string;
  toolName?: string;
  arguments?: Json;
}

/** The record of a run; a field that is not known, or not known yet, is absent. */
export interface AgentRun {
  id: string;
  agentId: string;
  sessionId: string;
  userId: string;
  orgId: string;
  status: RunStatus;
  input?: string;
  inputTruncated?: boolean;
  output?: string;
  outputTruncated?: boolean;
  createdAt: string;
  updatedAt: string;
  startedAt?: string;
  completedAt?: string;
  model?: string;
  inputTokens?: number;
  outputTokens?: number;
  reasoningTokens?: number;
  totalTokens?: number;
  costUsd?: number;
  durationMs?: number;
  errorType?: string;
  errorMessage?: string;
  requiredAction?: RequiredAction;
  followups?: string[];
  parentRunId?: string;
  attempt: number;
  version: number;
}

/** A run that waits for a worker, or the run that its Idempotency-Key led back to. */
export interface QueuedRun {
  runId: string;
  sessionId: string;
  status: RunStatus;
}

/** A call of a tool that has ended. */
export interface ToolCall {
  id: string;
  toolName: string;
  toolInput: Json;
  /** The error's text if `isError` is true. */
  toolOutput: Json;
  isError: boolean;
}

/** A run that was answered once. */
export interface RunResponse {
  runId: string;
  sessionId: string;
  agentId: string;
  content: string;
  status: RunStatus;
  tools: ToolCall[];
  reasoningSteps: string[];
  followups?: string[];
  metrics?: Metrics;
  requiredAction?: RequiredAction;
}

/** What one pending call is answered. */
export interface Decision {
  id: string;
  action: "APPROVE" | "REJECT";
  reason?: string;
  /** Replace those that the model chose. */
  arguments?: Record<string, Json>;
  /** Of a tool in doubt: what it gave. */
  result?: Json;
}

/** The larger budget of a run that waits for one. */
export interface Budget {
  maxCostUsd?: number;
  maxTotalTokens?: number;
}

/** What lets a browser's own `EventSource` attach to one run. */
export interface StreamTicket {
  ticket: string;
  expiresAt: string;
  url: string;
}

export interface AgentTool {
  name: string;
  description: string;
  requiresApproval: boolean;
}

export interface Agent {
  id: string;
  agentId: string;
  name: string;
  description: string;
  model: string;
  models: string[];
  active: boolean;
  isTeam: boolean;
  is_team: boolean;
  tools: AgentTool[];
  media: string[];
}

/** A conversation. */
export interface Session {
  id: string;
  sessionId: string;
  agentId: string;
  userId: string;
  title: string;
  createdAt: string;
  updatedAt: string;
}

/** What was said in a conversation. */
export interface Message {
  role: "user" | "assistant" | "tool";
  content: string;
  contentTruncated?: boolean;
  createdAt: string;
  runId: string;
}

export interface SessionWithMessages extends Session {
  messages: Message[];
}

export type ApprovalStatus = "PENDING" | "APPROVED" | "REJECTED" | "EXPIRED";

/** A pause that waits for a decision, or has had one. */
export interface Approval {
  approvalId: string;
  runId: string;
  agentId: string;
  sessionId: string;
  type: PauseType;
  /** Absent where they are too large for a list: read such an approval alone. */
  approvals?: PendingApproval[];
  createdAt: string;
  expiresAt?: string;
  status: ApprovalStatus;
}

export interface Health {
  status: string;
}

/** A field of a request that broke a rule. */
export interface InvalidParam {
  name: string;
  reason: string;
}

/** What a run has come to. */
export interface RunResult {
  readonly runId: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly status: RunStatus;
  /** The answer, or what there is of it. */
  readonly text: string;
  readonly reasoning: string;
  /** The calls that have ended. */
  readonly tools: readonly ToolCall[];
  readonly followups: readonly string[];
  readonly metrics: Metrics | undefined;
  /** What a PAUSED run waits for. */
  readonly requiredAction: RequiredAction | undefined;
  /** Why a FAILED run failed, or a CANCELLED one was cancelled. */
  readonly error: string | undefined;
}
