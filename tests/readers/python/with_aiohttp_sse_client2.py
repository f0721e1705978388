import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp_sse_client2.client import EventSource

ENDS = {"STOP", "ERROR", "PAUSED", "CANCELLED"}
# aiohttp's own limits are five minutes for the whole answer and 512 KiB for a line.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
LONGEST_LINE = 2**23


async def run_agent(
    base_url: str, token: str, agent: str, message: str, *, key: str, last_id: str = ""
) -> AsyncIterator[dict[str, Any]]:
    url = f"{base_url}/api/agents/{agent}/runs/stream"
    async with aiohttp.ClientSession(timeout=TIMEOUT, read_bufsize=LONGEST_LINE) as session:
        while True:
            # A new dict each time: the package writes the last id into it.
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
            if last_id:
                headers["Last-Event-ID"] = last_id
            request = {"session": session, "headers": headers, "json": {"message": message}}
            try:
                async with EventSource(url, option={"method": "POST"}, **request) as source:
                    async for sse in source:
                        event = json.loads(sse.data)
                        last_id = sse.last_event_id
                        yield {"id": last_id, **event}
                        if event["event"] in ENDS:
                            return
            except ConnectionAbortedError as error:
                if "status: 204" in str(error):
                    return  # The run has ended, and nothing follows the last id.
                raise
            except (aiohttp.ClientError, ValueError):
                pass  # The connection broke, maybe in mid-event; the run goes on without us.
            await asyncio.sleep(1)
