// eventsource-client as its README uses it: nobody closes it at the end.
import { createEventSource } from "eventsource-client";

export function runAgent({ baseUrl, token, agent, message }, onEvent) {
  createEventSource({
    url: `${baseUrl}/api/agents/${agent}/runs/stream`,
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ message }),
    onMessage: ({ id, data }) => onEvent({ id, ...JSON.parse(data) }),
  });
}
