import type { Agent } from "agentrun-client";
import { CopyButton } from "./answers/CopyButton";
import type { Exchange } from "./history";
import { asJson, asMarkdown } from "./transcript";

/** Takes a conversation out of the page. */
export function TranscriptButtons(props: { agent: Agent; sessionId: string; exchanges: readonly Exchange[] }) {
  const { agent, sessionId, exchanges } = props;
  return (
    <div className="row transcript" role="group" aria-label="This conversation">
      <CopyButton label="Copy as Markdown" text={() => asMarkdown(agent.name, exchanges)} />
      <button
        type="button"
        className="quiet"
        onClick={() => {
          save(`${agent.id}-${sessionId}.json`, asJson(agent.id, sessionId, exchanges));
        }}
      >
        Save as JSON
      </button>
    </div>
  );
}

function save(name: string, json: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
