"""requests-sse as its own example uses it: nobody stops it at the end."""

import json
from collections.abc import Iterator
from typing import Any

from requests_sse import EventSource


def run_agent(
    base_url: str, token: str, agent: str, message: str, **_: str
) -> Iterator[dict[str, Any]]:
    url = f"{base_url}/api/agents/{agent}/runs/stream"
    headers = {"Authorization": f"Bearer {token}"}
    with EventSource(url, method="POST", headers=headers, json={"message": message}) as source:
        for sse in source:
            yield {"id": sse.last_event_id, **json.loads(sse.data)}
