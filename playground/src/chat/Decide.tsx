import type { Decision, Json, PendingApproval } from "agentrun-client";
import { useId, useState } from "react";
import { JsonView } from "./JsonView";

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
  const { id } = call;
  if (decision)
    return (
      <p className="muted">
        <code>{call.toolName}</code>: {decision.action === "APPROVE" ? "approved" : "rejected"}; others still wait.
      </p>
    );
  const back = (): void => {
    setMode("ask");
  };
  return (
    <div className="decide" role="group" aria-label={`Decide ${call.toolName}`}>
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

function JsonForm(props: {
  label: string;
  first: string;
  isObject?: boolean;
  submit: string;
  onBack: () => void;
  onSubmit: (value: Json) => void;
}) {
  const field = useId();
  const [text, setText] = useState(props.first);
  const { value, fault } = parse(text, props.isObject ?? false);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (value !== undefined) props.onSubmit(value);
      }}
    >
      <label htmlFor={field}>{props.label}</label>
      <textarea
        id={field}
        className="code"
        rows={Math.min(16, text.split("\n").length + 1)}
        spellCheck={false}
        autoFocus
        value={text}
        aria-invalid={fault !== undefined}
        aria-describedby={`${field}-fault`}
        onChange={(event) => {
          setText(event.target.value);
        }}
      />
      <p id={`${field}-fault`} className="failure" role="status">
        {fault}
      </p>
      <div className="row">
        <button type="submit" className="primary" disabled={fault !== undefined}>
          {props.submit}
        </button>
        <button type="button" onClick={props.onBack}>
          Back
        </button>
      </div>
    </form>
  );
}

function ReasonForm({ onBack, onSubmit }: { onBack: () => void; onSubmit: (reason: string) => void }) {
  const field = useId();
  const [reason, setReason] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit(reason.trim());
      }}
    >
      <label htmlFor={field}>Reason, which the model is told (optional)</label>
      <input
        id={field}
        autoFocus
        value={reason}
        onChange={(event) => {
          setReason(event.target.value);
        }}
      />
      <div className="row">
        <button type="submit" className="primary">
          Reject
        </button>
        <button type="button" onClick={onBack}>
          Back
        </button>
      </div>
    </form>
  );
}

function parse(text: string, isObject: boolean): { value?: Json; fault?: string } {
  try {
    const value = JSON.parse(text) as Json;
    if (isObject && (typeof value !== "object" || value === null || Array.isArray(value)))
      return { fault: "Arguments are an object, in braces." };
    return { value };
  } catch (error) {
    return { fault: text.trim() === "" ? "Enter JSON." : (error as Error).message };
  }
}
