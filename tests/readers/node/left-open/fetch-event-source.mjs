// fetch-event-source as its README uses it: without handlers for refusals and the end.
import { fetchEventSource } from "@microsoft/fetch-event-source";

export async function runAgent({ baseUrl, token, agent, message }, onEvent) {
  await fetchEventSource(`${baseUrl}/api/agents/${agent}/runs/stream`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ message }),
    onmessage: ({ id, data }) => onEvent({ id, ...JSON.parse(data) }),
  });
}
