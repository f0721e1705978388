import type { Decision, Json, PendingApproval } from "agentrun-client";
import { useRef, useState } from "react";
import { JsonView } from "../answers/JsonView";
import { JsonForm } from "./JsonForm";
import { ReasonForm } from "./ReasonForm";

type Mode = "ask" | "edit" | "reject" | "result";

/** A tool call that waits: approve, edit, reject; or what became of one in doubt. */
export function Decide(props: {
  call: PendingApproval;
  isInDoubt: boolean;
  decision: Decision | undefined;
  onDecide: (decision: Decision) => void;
}) {
  const { call, isInDoubt, decision, onDecide } = props;
  const [mode, setMode] = useState<Mode>("ask");
  const box = useRef<HTMLDivElement>(null);
  const { id } = call;
  if (decision)
    return (
      <p className="muted">
        <code>{call.toolName}</code>: {decision.action === "APPROVE" ? "approved" : "rejected"}; others still wait.
      </p>
    );
  const back = (): void => {
    setMode("ask");
    // The form that had the focus has gone.
    requestAnimationFrame(() => box.current?.querySelector("button")?.focus());
  };
  return (
    <div
      ref={box}
      className="decide"
      role="group"
      aria-label={`Decide ${call.toolName}`}
      onKeyDown={(event) => {
        if (event.key === "Escape" && mode !== "ask") back();
      }}
    >
      <h2>
        {isInDoubt ? "Nobody knows whether this ran: " : "May this run? "}
        <code>{call.toolName}</code>
      </h2>
      {mode !== "edit" && <JsonView label="Arguments" value={call.arguments} />}
      {mode === "ask" && (
        <div className="row">
          <button
            type="button"
            className="primary"
            onClick={() => {
              onDecide({ id, action: "APPROVE" });
            }}
          >
            {isInDoubt ? "Run again" : "Approve"}
          </button>
          <button
            type="button"
            onClick={() => {
              setMode(isInDoubt ? "result" : "edit");
            }}
          >
            {isInDoubt ? "Enter its result" : "Edit"}
          </button>
          <button
            type="button"
            onClick={() => {
              setMode("reject");
            }}
          >
            {isInDoubt ? "Do not run again" : "Reject"}
          </button>
        </div>
      )}
      {mode === "edit" && (
        <JsonForm
          label="Arguments, as JSON"
          first={JSON.stringify(call.arguments, null, 2)}
          isObject
          submit="Approve with these"
          onBack={back}
          onSubmit={(value) => {
            onDecide({ id, action: "APPROVE", arguments: value as Record<string, Json> });
          }}
        />
      )}
      {mode === "result" && (
        <JsonForm
          label="What it returned, as JSON"
          first=""
          submit="Go on with this result"
          onBack={back}
          onSubmit={(result) => {
            onDecide({ id, action: "APPROVE", result });
          }}
        />
      )}
      {mode === "reject" && (
        <ReasonForm
          onBack={back}
          onSubmit={(reason) => {
            onDecide({ id, action: "REJECT", ...(reason && { reason }) });
          }}
        />
      )}
    </div>
  );
}
