import json
import time
from collections.abc import Iterator
from typing import Any

import requests
from sseclient import SSEClient

ENDS = {"STOP", "ERROR", "PAUSED", "CANCELLED"}
BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def run_agent(
    base_url: str, token: str, agent: str, message: str, *, key: str, last_id: str = ""
) -> Iterator[dict[str, Any]]:
    url = f"{base_url}/api/agents/{agent}/runs/stream"
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    while True:
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with requests.post(
                url, headers=headers, json={"message": message}, stream=True, timeout=(10, 30)
            ) as response:
                if response.status_code == 204:
                    return  # The run has ended, and nothing follows the last id.
                response.raise_for_status()
                for sse in SSEClient(response).events():
                    try:
                        event = json.loads(sse.data)
                    except ValueError:
                        break  # The package hands on the half event before a cut.
                    last_id = sse.id
                    yield {"id": sse.id, **event}
                    if event["event"] in ENDS:
                        return
        except BROKEN:
            pass  # The run goes on without us.
        time.sleep(1)
