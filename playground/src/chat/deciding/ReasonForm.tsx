import { useId, useState } from "react";

/** Asks why a call is rejected. */
export function ReasonForm({ onBack, onSubmit }: { onBack: () => void; onSubmit: (reason: string) => void }) {
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
