import { createEventSource } from "eventsource-client";

const ENDS = new Set(["STOP", "ERROR", "PAUSED", "CANCELLED"]);

export function runAgent({ baseUrl, token, agent, message, key, lastId }, onEvent) {
  return new Promise((resolve, reject) => {
    const source = createEventSource({
      url: `${baseUrl}/api/agents/${agent}/runs/stream`,
      method: "POST",
      headers: {
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json",
        "Idempotency-Key": key,
      },
      body: JSON.stringify({ message }),
      initialLastEventId: lastId || undefined,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        if (response.status === 204) resolve(); // Nothing follows the last id.
        if (!response.ok) {
          source.close(); // or it asks again for ever
          reject(new Error(`HTTP ${response.status}`));
        }
        return response;
      },
      onMessage({ id, data }) {
        const event = JSON.parse(data);
        onEvent({ id, ...event });
        if (!ENDS.has(event.event)) return;
        source.close(); // or it asks again after the end
        resolve();
      },
    });
  });
}
