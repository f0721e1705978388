import type { ToolActivity } from "agentrun-client";
import { memo } from "react";
import { duration } from "./figures";
import { JsonView } from "./JsonView";

const STATES = { running: "running …", done: "done", failed: "failed" };

/** A tool call with what went in and what came out, folded. */
export const ToolCallView = memo(function ToolCallView({ tool }: { tool: ToolActivity }) {
  return (
    <details className={`tool ${tool.state}`} data-tool={tool.name}>
      <summary>
        <code>{tool.name}</code> <span className="state">{STATES[tool.state]}</span>
        {tool.durationMs !== undefined && <span className="muted"> {duration(tool.durationMs)}</span>}
      </summary>
      <JsonView label="Arguments" value={tool.arguments} />
      {tool.result !== undefined && <JsonView label="Result" value={tool.result} />}
      {tool.error !== undefined && <JsonView label="Error" value={tool.error} />}
    </details>
  );
});
