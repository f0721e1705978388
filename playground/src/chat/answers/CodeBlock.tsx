import { type ReactNode, useId, useRef } from "react";
import { CopyButton } from "./CopyButton";

/** Code of an answer, with its language and a button to copy it. */
export function CodeBlock({ language, children }: { language: string | undefined; children: ReactNode }) {
  const label = useId();
  const code = useRef<HTMLPreElement>(null);
  return (
    <div className="code-block" dir="ltr">
      <div className="bar">
        <span id={label}>{language ?? "Code"}</span>
        <CopyButton name="Copy code" text={() => (code.current?.textContent ?? "").replace(/\n$/, "")} />
      </div>
      {/* What may scroll has to be reachable by keyboard. */}
      <pre ref={code} tabIndex={0} aria-labelledby={label}>
        {children}
      </pre>
    </div>
  );
}
