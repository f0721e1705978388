import { EventSource } from "eventsource";

const ENDS = new Set(["STOP", "ERROR", "PAUSED", "CANCELLED"]);

export async function runAgent({ baseUrl, token, agent, message, key, lastId = "" }, onEvent) {
  const runs = `${baseUrl}/api/agents/${agent}/runs`;
  const authorization = { Authorization: `Bearer ${token}` };
  // Start the run, leave its stream, and attach to it.
  const started = await fetch(`${runs}/stream`, {
    method: "POST",
    headers: { ...authorization, "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify({ message }),
  });
  if (!started.ok) throw new Error(`HTTP ${started.status}`);
  const url = `${runs}/${started.headers.get("X-Run-Id")}/stream`;
  await started.body.cancel();
  await new Promise((resolve, reject) => {
    const source = new EventSource(lastId ? `${url}?lastEventId=${lastId}` : url, {
      fetch: (url, init) =>
        fetch(url, { ...init, headers: { ...init.headers, ...authorization } }),
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
  });
}
