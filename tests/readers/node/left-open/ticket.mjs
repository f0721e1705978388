// A browser's own EventSource: all that it has is a URL, with a ticket in it. Nobody closes it.
import { EventSource } from "eventsource";

export function runAgent({ url }, onEvent) {
  // While it waits to reconnect, the package keeps no Node process alive.
  const alive = setInterval(() => {}, 60_000);
  const source = new EventSource(url);
  source.onmessage = ({ data, lastEventId }) =>
    onEvent({ id: lastEventId, ...JSON.parse(data) });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) clearInterval(alive);
  };
}
