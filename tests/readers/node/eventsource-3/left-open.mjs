// eventsource with a GET, left open: nobody closes it at the end.
import { EventSource } from "eventsource";

export async function runAgent({ baseUrl, token, agent, message }, onEvent) {
  const runs = `${baseUrl}/api/agents/${agent}/runs`;
  const authorization = { Authorization: `Bearer ${token}` };
  const started = await fetch(`${runs}/stream`, {
    method: "POST",
    headers: { ...authorization, "Content-Type": "application/json" },
    body: JSON.stringify({ message }),
  });
  await started.body.cancel();
  const source = new EventSource(`${runs}/${started.headers.get("X-Run-Id")}/stream`, {
    fetch: (url, init) =>
      fetch(url, { ...init, headers: { ...init.headers, ...authorization } }),
  });
  source.onmessage = ({ data, lastEventId }) =>
    onEvent({ id: lastEventId, ...JSON.parse(data) });
}
