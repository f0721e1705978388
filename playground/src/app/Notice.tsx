import type { ReactNode } from "react";

/** A line that has to be seen, with what can be done about it. */
export function Notice(props: {
  kind: "error" | "warning" | "info";
  children: ReactNode;
  action?: string;
  onAction?: (() => void) | undefined;
}) {
  return (
    <div className={`notice ${props.kind}`} role={props.kind === "error" ? "alert" : "status"}>
      <span>{props.children}</span>
      {props.action && (
        <button type="button" onClick={props.onAction}>
          {props.action}
        </button>
      )}
    </div>
  );
}
