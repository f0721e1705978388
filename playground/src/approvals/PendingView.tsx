import { type Agentrun, approve, type Approval, type Budget, type Decision, reject, type Verdict } from "agentrun-client";
import { useState } from "react";
import { Notice } from "../app/Notice";
import { hrefOf } from "../app/route";
import { BudgetForm } from "../chat/deciding/BudgetForm";
import { Decide } from "../chat/deciding/Decide";

/** One pause; once all its calls are decided, its run goes on. */
export function PendingView(props: { client: Agentrun; approval: Approval; onDecided: () => void }) {
  const { client, approval, onDecided } = props;
  const [decisions, setDecisions] = useState<ReadonlyMap<string, Decision>>(new Map());
  const [failure, setFailure] = useState<Error>();
  const { agentId, runId, sessionId, approvalId, type, approvals } = approval;
  const resume = async (verdict: Verdict, budget?: Budget): Promise<void> => {
    const reading = new AbortController();
    try {
      const { signal } = reading;
      // The run goes on without a reader as soon as it has begun again.
      for await (const event of client.runs.resume(agentId, runId, verdict, { approvalId, budget, signal }))
        if (event.event === "START") break;
      onDecided();
    } catch (error) {
      setFailure(error as Error);
      setDecisions(new Map());
    } finally {
      reading.abort();
    }
  };
  const decide = (decision: Decision): void => {
    const all = new Map(decisions).set(decision.id, decision);
    setDecisions(all);
    if (all.size === approvals?.length) void resume([...all.values()]);
  };
  return (
    <article className="pending">
      <p className="muted">
        {agentId}, since <time dateTime={approval.createdAt}>{new Date(approval.createdAt).toLocaleString()}</time>
        {" · "}
        <a href={hrefOf("chat", agentId, sessionId)}>Conversation</a>
        {" · "}
        <a href={hrefOf("runs", runId)}>Run</a>
      </p>
      {failure && <Notice kind="error">{failure.message}</Notice>}
      {type === "BUDGET" && (
        <BudgetForm onRaise={(budget) => void resume(approve(), budget)} onReject={() => void resume(reject())} />
      )}
      {type !== "BUDGET" && !approvals && <p>Its arguments are too large for this list: open its conversation.</p>}
      {type !== "BUDGET" &&
        approvals?.map((call) => (
          <Decide
            key={call.id}
            call={call}
            isInDoubt={type === "TOOL_IN_DOUBT"}
            decision={decisions.get(call.id)}
            onDecide={decide}
          />
        ))}
    </article>
  );
}
