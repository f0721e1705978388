/** A hook for React: a conversation with an agent that outlives reloads. */

export type {
  AgentRunStatus,
  AssistantMessage,
  ChatMessage,
  ConversationActions,
  ConversationState,
  OpenApproval,
  SendOptions,
  UserMessage,
} from "./messages.js";
export { useAgentRun } from "./use-agent-run.js";
export type { UseAgentRunOptions, UseAgentRunResult } from "./use-agent-run.js";
