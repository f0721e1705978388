// eventsource with a POST, left open: nobody closes it at the end.
import { EventSource } from "eventsource";

export function runAgent({ baseUrl, token, agent, message }, onEvent) {
  const alive = setInterval(() => {}, 60_000);
  const source = new EventSource(`${baseUrl}/api/agents/${agent}/runs/stream`, {
    fetch: (url, init) =>
      fetch(url, {
        ...init,
        method: "POST",
        headers: {
          ...init.headers,
          Authorization: `Bearer ${token}`,
          "Content-Type": "application/json",
        },
        body: JSON.stringify({ message }),
      }),
  });
  source.onmessage = ({ data, lastEventId }) =>
    onEvent({ id: lastEventId, ...JSON.parse(data) });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) clearInterval(alive);
  };
}
