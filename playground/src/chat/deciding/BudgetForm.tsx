import type { Budget } from "agentrun-client";
import { useId, useState } from "react";

/** A run that has used up its budget: raise it, or let it end. */
export function BudgetForm({ onRaise, onReject }: { onRaise: (budget: Budget) => void; onReject: () => void }) {
  const field = useId();
  const [cost, setCost] = useState("");
  const [tokens, setTokens] = useState("");
  const budget: Budget = {
    ...(Number(cost) > 0 && { maxCostUsd: Number(cost) }),
    ...(Number(tokens) > 0 && { maxTotalTokens: Math.floor(Number(tokens)) }),
  };
  return (
    <form
      className="decide"
      onSubmit={(event) => {
        event.preventDefault();
        onRaise(budget);
      }}
    >
      <h2>The run has used up its budget</h2>
      <div className="row">
        <label htmlFor={`${field}-cost`}>At most, in US dollars</label>
        <input
          id={`${field}-cost`}
          type="number"
          min="0"
          step="any"
          value={cost}
          onChange={(event) => {
            setCost(event.target.value);
          }}
        />
        <label htmlFor={`${field}-tokens`}>At most, in tokens</label>
        <input
          id={`${field}-tokens`}
          type="number"
          min="0"
          step="1"
          value={tokens}
          onChange={(event) => {
            setTokens(event.target.value);
          }}
        />
      </div>
      <div className="row">
        <button type="submit" className="primary" disabled={Object.keys(budget).length === 0}>
          Raise and go on
        </button>
        <button type="button" onClick={onReject}>
          End the run
        </button>
      </div>
    </form>
  );
}
