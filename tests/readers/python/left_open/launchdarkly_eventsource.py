"""launchdarkly-eventsource told to reconnect always; nobody stops it at the end."""

import json
from collections.abc import Iterator
from typing import Any

import urllib3
from ld_eventsource import SSEClient
from ld_eventsource.config import ConnectStrategy, ErrorStrategy


def run_agent(
    base_url: str, token: str, agent: str, message: str, **_: str
) -> Iterator[dict[str, Any]]:
    runs = f"{base_url}/api/agents/{agent}/runs"
    headers = {"Authorization": f"Bearer {token}"}
    started = urllib3.request(
        "POST",
        f"{runs}/stream",
        headers=headers,
        json={"message": message},
        preload_content=False,
    )
    started.close()
    url = f"{runs}/{started.headers['X-Run-Id']}/stream"
    source = SSEClient(
        ConnectStrategy.http(url, headers=headers), error_strategy=ErrorStrategy.always_continue()
    )
    for sse in source.events:
        yield {"id": sse.last_event_id, **json.loads(sse.data)}
