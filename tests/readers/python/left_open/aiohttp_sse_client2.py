"""aiohttp-sse-client2 as its own example uses it: nobody stops it at the end."""

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp_sse_client2.client import EventSource


async def run_agent(
    base_url: str, token: str, agent: str, message: str, **_: str
) -> AsyncIterator[dict[str, Any]]:
    url = f"{base_url}/api/agents/{agent}/runs/stream"
    request = {"headers": {"Authorization": f"Bearer {token}"}, "json": {"message": message}}
    async with EventSource(url, option={"method": "POST"}, **request) as source:
        async for sse in source:
            yield {"id": sse.last_event_id, **json.loads(sse.data)}
