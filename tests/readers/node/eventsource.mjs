import { EventSource } from "eventsource";

const ENDS = new Set(["STOP", "ERROR", "PAUSED", "CANCELLED"]);

export function runAgent({ baseUrl, token, agent, message, key, lastId = "" }, onEvent) {
  // While it waits to reconnect, the package keeps no Node process alive.
  const alive = setInterval(() => {}, 60_000);
  return new Promise((resolve, reject) => {
    const source = new EventSource(`${baseUrl}/api/agents/${agent}/runs/stream`, {
      fetch: (url, init) =>
        fetch(url, {
          ...init,
          method: "POST",
          headers: {
            ...(lastId && { "Last-Event-ID": lastId }),
            ...init.headers, // has the last id itself when it reconnects
            Authorization: `Bearer ${token}`,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
          },
          body: JSON.stringify({ message }),
        }),
    });
    source.onmessage = ({ data, lastEventId }) => {
      const event = JSON.parse(data);
      onEvent({ id: lastEventId, ...event });
      if (!ENDS.has(event.event)) return;
      source.close(); // or it asks again after the end
      resolve();
    };
    source.onerror = ({ code }) => {
      if (code === 204) resolve(); // The run has ended, and nothing follows the last id.
      else if (code) reject(new Error(`HTTP ${code}`));
      // Without a code the connection broke; it reconnects by itself.
    };
  }).finally(() => clearInterval(alive));
}
