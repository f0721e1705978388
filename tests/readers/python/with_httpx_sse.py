import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
from httpx_sse import connect_sse

ENDS = {"STOP", "ERROR", "PAUSED", "CANCELLED"}


def run_agent(
    base_url: str, token: str, agent: str, message: str, *, key: str, last_id: str = ""
) -> Iterator[dict[str, Any]]:
    url = f"{base_url}/api/agents/{agent}/runs/stream"
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    with httpx.Client(timeout=httpx.Timeout(10, read=30)) as client:
        while True:
            if last_id:
                headers["Last-Event-ID"] = last_id
            request = {"headers": headers, "json": {"message": message}}
            try:
                with connect_sse(client, "POST", url, **request) as source:
                    if source.response.status_code == 204:
                        return  # The run has ended, and nothing follows the last id.
                    source.response.raise_for_status()
                    for sse in source.iter_sse():
                        event = json.loads(sse.data)
                        last_id = sse.id
                        yield {"id": sse.id, **event}
                        if event["event"] in ENDS:
                            return
            except httpx.TransportError:
                pass  # The connection broke; the run goes on without us.
            time.sleep(1)
