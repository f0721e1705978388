import { useEffect, useState, useSyncExternalStore } from "react";
import { Conversation, type ConversationOptions, NOTHING } from "./conversation.js";
import type { ConversationActions, ConversationState } from "./messages.js";

export type UseAgentRunOptions = ConversationOptions;
export type UseAgentRunResult = ConversationState & ConversationActions;

/**
 * Talk to an agent from a component.
 *
 * Once it is mounted, it goes on with what `sessionStorage` has of the conversation, also with a
 * run that was under way when the page was reloaded. Unmounting leaves the run alone.
 *
 * @param options.client Make it once, outside of components.
 */
export function useAgentRun(options: UseAgentRunOptions): UseAgentRunResult {
  const { client, agent, sessionId, storageKey, run, generateFollowups } = options;
  const asked = { client, agent, sessionId, storageKey, run, generateFollowups };
  const [held, hold] = useState(() => ({ asked, conversation: new Conversation(asked) }));
  let { conversation } = held;
  if (!isSame(held.asked, asked)) {
    conversation = new Conversation(asked);
    hold({ asked, conversation });
  }
  useEffect(() => conversation.attach(), [conversation]);
  const { subscribe, getState, actions } = conversation;
  const state = useSyncExternalStore(subscribe, getState, () => NOTHING);
  return { ...state, ...actions };
}

function isSame(one: ConversationOptions, other: ConversationOptions): boolean {
  return (
    one.client === other.client &&
    one.agent === other.agent &&
    one.sessionId === other.sessionId &&
    one.storageKey === other.storageKey &&
    one.run?.runId === other.run?.runId &&
    one.generateFollowups === other.generateFollowups
  );
}
