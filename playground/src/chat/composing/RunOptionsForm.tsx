import type { Agent, RunOptions } from "agentrun-client";
import { type ReactNode, useId, useState } from "react";

/** What the next run uses instead of its agent's defaults, folded. */
export function RunOptionsForm(props: {
  agent: Agent;
  options: RunOptions;
  /** Whether it is open at first, because what it says may have to be mended. */
  isOpenAtFirst: boolean;
  onChange: (options: RunOptions) => void;
}) {
  const { agent, options, onChange } = props;
  const [isOpen] = useState(props.isOpenAtFirst);
  const field = useId();
  const count = Object.keys(options).length;
  const set = (name: keyof RunOptions, value: string | number | undefined): void => {
    const others = Object.entries(options).filter(([other]) => other !== name);
    const given = value === undefined || value === "" ? [] : [[name, value] as const];
    onChange(Object.fromEntries([...others, ...given]));
  };
  return (
    <details className="options" open={isOpen}>
      <summary>Options{count > 0 && ` (${String(count)})`}</summary>
      <div className="fields">
        {agent.models.length > 1 && (
          <Field id={`${field}-model`} label="Model">
            <select
              id={`${field}-model`}
              value={options.model ?? ""}
              onChange={(event) => {
                set("model", event.target.value);
              }}
            >
              <option value="">{agent.model}, the default</option>
              {agent.models
                .filter((model) => model !== agent.model)
                .map((model) => (
                  <option key={model}>{model}</option>
                ))}
            </select>
          </Field>
        )}
        {NUMBERS.map(({ name, label, ...limits }) => (
          <Field key={name} id={`${field}-${name}`} label={label}>
            <input
              id={`${field}-${name}`}
              type="number"
              {...limits}
              value={options[name] ?? ""}
              onChange={(event) => {
                const value = event.target.valueAsNumber;
                set(name, Number.isNaN(value) ? undefined : value);
              }}
            />
          </Field>
        ))}
        <Field id={`${field}-prompt`} label="System prompt, where the agent allows it">
          <textarea
            id={`${field}-prompt`}
            rows={3}
            dir="auto"
            value={options.systemPrompt ?? ""}
            onChange={(event) => {
              set("systemPrompt", event.target.value);
            }}
          />
        </Field>
        {count > 0 && (
          <button
            type="button"
            onClick={() => {
              onChange({});
            }}
          >
            Reset
          </button>
        )}
      </div>
    </details>
  );
}

const NUMBERS = [
  { name: "temperature", label: "Temperature, 0 to 2", min: 0, max: 2, step: 0.1 },
  { name: "maxTokens", label: "Tokens of an answer, at most", min: 1, max: 65_536, step: 1 },
  { name: "maxCostUsd", label: "Cost of the run in US dollars, at most", min: 0, step: "any" },
  { name: "maxTotalTokens", label: "Tokens of the run, at most", min: 1, step: 1 },
] as const;

function Field({ id, label, children }: { id: string; label: string; children: ReactNode }) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children}
    </div>
  );
}
