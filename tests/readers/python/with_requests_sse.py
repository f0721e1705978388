import json
from collections.abc import Iterator
from typing import Any

from requests_sse import EventSource, InvalidStatusCodeError

ENDS = {"STOP", "ERROR", "PAUSED", "CANCELLED"}


def run_agent(
    base_url: str, token: str, agent: str, message: str, *, key: str, last_id: str = ""
) -> Iterator[dict[str, Any]]:
    source = EventSource(
        f"{base_url}/api/agents/{agent}/runs/stream",
        method="POST",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
        json={"message": message},
        timeout=30,
        latest_event_id=last_id,
    )
    try:
        with source:  # It reconnects by itself, with the last id.
            for sse in source:
                event = json.loads(sse.data)
                yield {"id": sse.last_event_id, **event}
                if event["event"] in ENDS:
                    return
    except InvalidStatusCodeError as error:
        if error.status_code != 204:  # 204: the run has ended, and nothing follows the last id.
            raise
