import { type Agentrun, type AgentRun, type Message, NotFoundError } from "agentrun-client";
import type { AssistantMessage, ChatMessage } from "agentrun-client/react";

/** What the server has of a conversation. */
export interface History {
  readonly messages: readonly ChatMessage[];
  /** The last run, while it is under way or paused. */
  readonly run: { readonly runId: string; readonly message: string } | undefined;
  /** Whether this tab has messages of a conversation that the server does not know. */
  readonly isForgotten: boolean;
}

/** Conversations that were made up here, and of which the server need not be asked at first. */
export const fresh = new Set<string>();

const ENDED: ReadonlySet<string> = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

/** Read a conversation; one that is not there yet is empty. */
export async function loadHistory(
  client: Agentrun,
  agentId: string,
  sessionId: string,
  signal: AbortSignal,
): Promise<History> {
  if (fresh.delete(sessionId)) return NOTHING;
  try {
    const [runs, messages] = await Promise.all([
      client.sessions.runs(sessionId, { signal }),
      client.sessions.messages(sessionId, { signal }),
    ]);
    const last = runs.at(-1);
    const isOpen = last !== undefined && !ENDED.has(last.status);
    return {
      messages: runs.filter(({ status }) => ENDED.has(status)).flatMap((run) => exchangeOf(run, messages)),
      run: isOpen ? { runId: last.id, message: saidIn(last.id, "user", messages) ?? last.input ?? "" } : undefined,
      isForgotten: false,
    };
  } catch (error) {
    if (error instanceof NotFoundError) return { ...NOTHING, isForgotten: hasAnswers(agentId, sessionId) };
    throw error;
  }
}

const NOTHING: History = { messages: [], run: undefined, isForgotten: false };

/** Whether this tab has kept answers of a conversation. */
function hasAnswers(agentId: string, sessionId: string): boolean {
  const kept = sessionStorage.getItem(storageKeyOf(agentId, sessionId));
  if (kept === null) return false;
  const { messages } = JSON.parse(kept) as { messages: readonly ChatMessage[] };
  return messages.some(({ role }) => role === "assistant");
}

/** Where the hook keeps a conversation, unless it is told otherwise. */
export function storageKeyOf(agentId: string, sessionId: string): string {
  return `agentrun:${agentId}:${sessionId}`;
}

function exchangeOf(run: AgentRun, messages: readonly Message[]): ChatMessage[] {
  const question = saidIn(run.id, "user", messages) ?? run.input ?? "";
  const { inputTokens, outputTokens, totalTokens, costUsd, durationMs, model } = run;
  const metrics = { inputTokens, outputTokens, totalTokens, costUsd, durationMs, model };
  const answer: AssistantMessage = {
    id: run.id,
    role: "assistant",
    text: saidIn(run.id, "assistant", messages) ?? run.output ?? "",
    reasoning: "",
    tools: [],
    status: run.status,
    followups: run.followups ?? [],
    metrics: Object.fromEntries(Object.entries(metrics).filter(([, value]) => value !== undefined)),
    ...(run.errorMessage !== undefined && { error: run.errorMessage }),
  };
  return [{ id: `${run.id}:question`, role: "user", text: question, media: [] }, answer];
}

function saidIn(runId: string, role: string, messages: readonly Message[]): string | undefined {
  const found = messages.filter((message) => message.runId === runId && message.role === role);
  return found.length > 0 ? found.map(({ content }) => content).join("\n\n") : undefined;
}

/** A question and its answer, once there is one. */
export interface Exchange {
  readonly question: Extract<ChatMessage, { role: "user" }>;
  readonly answer: AssistantMessage | undefined;
}

/** Put what this tab has seen itself in its place among what the server has. */
export function exchangesOf(history: readonly ChatMessage[], own: readonly ChatMessage[]): Exchange[] {
  const exchanges = new Map<string, Exchange>();
  for (const messages of [history, own]) {
    let question: Exchange["question"] | undefined;
    const add = (answer: AssistantMessage | undefined): void => {
      if (question) exchanges.set(answer?.id ?? question.id, { question, answer });
      question = undefined;
    };
    for (const message of messages) {
      if (message.role === "assistant") add(message);
      // A message before another one that has no answer was refused: there is no run of it.
      else question = message;
    }
    add(undefined);
  }
  return [...exchanges.values()];
}
