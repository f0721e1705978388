import { fetchEventSource } from "@microsoft/fetch-event-source";

const ENDS = new Set(["STOP", "ERROR", "PAUSED", "CANCELLED"]);

class Refused extends Error {}

export async function runAgent({ baseUrl, token, agent, message, key, lastId = "" }, onEvent) {
  const done = new AbortController();
  await fetchEventSource(`${baseUrl}/api/agents/${agent}/runs/stream`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      "Idempotency-Key": key,
    },
    body: JSON.stringify({ message }),
    openWhenHidden: true, // or it sends the request again whenever the tab is switched to
    signal: done.signal,
    fetch: (url, { headers, ...init }) => {
      // Its own last id may be of an event that a cut kept from it; ours has been handed on.
      const { "last-event-id": _, ...others } = headers;
      return fetch(url, {
        ...init,
        headers: lastId ? { ...others, "last-event-id": lastId } : others,
      });
    },
    async onopen(response) {
      if (response.status === 204) throw new Refused("204"); // or it asks again for ever
      if (!response.ok) throw new Refused(`HTTP ${response.status}`);
    },
    onmessage({ id, data }) {
      const event = JSON.parse(data);
      lastId = id;
      onEvent({ id, ...event });
      if (ENDS.has(event.event)) done.abort();
    },
    onclose() {
      throw new Error("The stream ended before the run did; ask again.");
    },
    onerror(error) {
      if (error instanceof Refused) throw error; // to ask no more
    },
  }).catch((error) => {
    if (error.message !== "204") throw error; // 204: nothing follows the last id.
  });
}
