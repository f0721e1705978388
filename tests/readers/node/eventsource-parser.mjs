import { EventSourceParserStream } from "eventsource-parser/stream";

const ENDS = new Set(["STOP", "ERROR", "PAUSED", "CANCELLED"]);

export async function runAgent({ baseUrl, token, agent, message, key, lastId = "" }, onEvent) {
  for (;;) {
    const response = await fetch(`${baseUrl}/api/agents/${agent}/runs/stream`, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        ...(lastId && { "Last-Event-ID": lastId }),
      },
      body: JSON.stringify({ message }),
    }).catch(() => null); // No connection; try again below.
    if (response?.status === 204) return; // The run has ended, and nothing follows the last id.
    if (response && !response.ok) throw new Error(`HTTP ${response.status}`);
    const reader = response?.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
      .getReader();
    for (;;) {
      const next = await reader?.read().catch(() => null); // null: cut in mid-stream
      if (!next || next.done) break;
      lastId = next.value.id;
      const event = JSON.parse(next.value.data);
      onEvent({ id: lastId, ...event });
      if (ENDS.has(event.event)) return;
    }
    // The connection broke; the run goes on without us.
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
