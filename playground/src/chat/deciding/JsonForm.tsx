import type { Json } from "agentrun-client";
import { useId, useState } from "react";

/** Asks for JSON, and says what is wrong with it. */
export function JsonForm(props: {
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
