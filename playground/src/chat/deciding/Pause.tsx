import type { UseAgentRunResult } from "agentrun-client/react";
import { BudgetForm } from "./BudgetForm";
import { Decide } from "./Decide";

/** What a paused run waits for. */
export function Pause({ chat }: { chat: UseAgentRunResult }) {
  if (chat.pause === undefined) return null;
  return (
    <section className="pause" aria-label="Waits for you">
      {chat.pause === "BUDGET" ? (
        <BudgetForm
          onRaise={(budget) => {
            chat.approveAll({ budget });
          }}
          onReject={() => {
            chat.rejectAll();
          }}
        />
      ) : (
        chat.approvals.map((call) => (
          <Decide
            key={call.id}
            call={call}
            isInDoubt={chat.pause === "TOOL_IN_DOUBT"}
            decision={call.decision}
            onDecide={({ id, action, reason, arguments: given, result }) => {
              if (action === "REJECT") chat.reject(id, reason);
              else
                chat.approve(id, {
                  ...(given && { arguments: given }),
                  ...(result !== undefined && { result }),
                });
            }}
          />
        ))
      )}
    </section>
  );
}
