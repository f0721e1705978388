import type { AgentRun } from "agentrun-client";
import { useEffect, useState } from "react";
import type { Settings } from "../app/settings";

/** A run's stream as it comes, byte for byte. */
export function RawFrames({ settings, run }: { settings: Settings; run: AgentRun }) {
  const [text, setText] = useState("");
  const { id, agentId } = run;
  useEffect(() => {
    const reading = new AbortController();
    const read = async (): Promise<void> => {
      const path = `/api/agents/${encodeURIComponent(agentId)}/runs/${encodeURIComponent(id)}/stream`;
      const response = await fetch(settings.baseUrl + path, {
        headers: { Authorization: `Bearer ${await settings.token()}` },
        signal: reading.signal,
      });
      const decoder = new TextDecoder();
      const reader = response.body?.getReader();
      for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
        const more = decoder.decode(chunk.value, { stream: true });
        setText((before) => before + more);
      }
    };
    read().catch((error: unknown) => {
      if (!reading.signal.aborted) setText((before) => `${before}\n${(error as Error).message}`);
    });
    return () => {
      reading.abort();
    };
  }, [settings, id, agentId]);
  return (
    <pre className="raw" tabIndex={0} aria-label="Raw frames">
      {text}
    </pre>
  );
}
