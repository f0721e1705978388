import json
from collections.abc import Iterator
from typing import Any

import urllib3
from ld_eventsource import SSEClient
from ld_eventsource.config import ConnectStrategy, ErrorStrategy
from ld_eventsource.errors import HTTPStatusError

ENDS = {"STOP", "ERROR", "PAUSED", "CANCELLED"}


def run_agent(
    base_url: str, token: str, agent: str, message: str, *, key: str, last_id: str = ""
) -> Iterator[dict[str, Any]]:
    runs = f"{base_url}/api/agents/{agent}/runs"
    headers = {"Authorization": f"Bearer {token}"}
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=10, read=30))
    # The package sends GET only: start the run, leave its stream, and attach to it.
    started = pool.request(
        "POST",
        f"{runs}/stream",
        headers={**headers, "Idempotency-Key": key},
        json={"message": message},
        preload_content=False,
    )
    started.close()
    if started.status != 200:
        raise HTTPStatusError(started.status)
    source = SSEClient(
        ConnectStrategy.http(
            f"{runs}/{started.headers['X-Run-Id']}/stream", headers=headers, pool=pool
        ),
        last_event_id=last_id,
        # Reconnect after a cut, but not after an answer such as 204 or 401.
        error_strategy=ErrorStrategy.from_lambda(
            lambda error: (isinstance(error, HTTPStatusError), None)
        ),
    )
    try:
        for sse in source.events:
            event = json.loads(sse.data)
            yield {"id": sse.last_event_id, **event}
            if event["event"] in ENDS:
                return
    except HTTPStatusError as error:
        if error.status != 204:  # 204: the run has ended, and nothing follows the last id.
            raise
    finally:
        source.close()
