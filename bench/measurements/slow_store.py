"""A stream of 100 events/s while every answer of the store comes late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from statistics import median
from urllib.parse import urlsplit

from bench.lab import STAMPED, Lab, Target
from bench.table import Budget, Row, compare

ROUNDS = 3
DELAY_S = 0.6
# Long enough for flushes and for a heartbeat.
_EVENTS, _PACE_MS = 350, 10


async def measure(lab: Lab) -> list[Row]:
    """Compare the largest gap between two events with that of a store that is as fast as it is."""
    gaps: dict[str, list[float]] = {"ours": [], "no delay": []}
    build = lab.builds[0]
    async with _delaying_proxy(lab.store_url) as url:
        slow_settings = {"AWS_ENDPOINT_URL_DYNAMODB": url}
        async with (
            lab.function(build, STAMPED, slow_settings) as slow,
            lab.function(build, STAMPED) as fast,
        ):
            for target in (slow, fast):
                await target.complete("echo", "/emit 50")
            for _ in range(ROUNDS):
                gaps["ours"].append(await _largest_gap_ms(slow))
                gaps["no delay"].append(await _largest_gap_ms(fast))
    medians = {name: median(taken) for name, taken in gaps.items()}
    return compare("largest gap at 100/s, store 600 ms late", medians, "ms", Budget(20))


async def _largest_gap_ms(target: Target) -> float:
    recording = await target.complete("echo", f"/emit {_EVENTS} every {_PACE_MS}")
    received = [stamp.received for stamp in recording.stamps()]
    return max(later - earlier for earlier, later in pairwise(received)) / 1e6


@asynccontextmanager
async def _delaying_proxy(url: str) -> AsyncIterator[str]:
    """Give the URL of a proxy that holds back each byte of the store's answers."""
    to = urlsplit(url)
    copying: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(to.hostname, to.port)
        for task in (_copy(reader, upstream[1], 0), _copy(upstream[0], writer, DELAY_S)):
            copying.add(asyncio.create_task(task))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await reader.read(65536):
            if delay_s:
                loop.call_later(delay_s, writer.write, data)
            else:
                writer.write(data)
    except ConnectionError:
        pass
    finally:
        loop.call_later(delay_s, writer.close)
