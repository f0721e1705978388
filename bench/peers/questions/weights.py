"""What a server takes: its start, an event, and itself while nobody calls."""

import asyncio
import time

from bench.peers.place import Heard, Place
from bench.peers.questions import Answers

_ROUNDS = 5
_EVENTS = 2_000
_IDLE_S = 20
COLD = "cold start to the first text, and its processor time, best of 5"
EVENT = "processor for an event of a stream, best of 5"
MEMORY = "resident memory of what serves"
IDLE = "processor for a minute in which nobody calls"


async def ask(place: Place) -> Answers:
    """Measure one server that nothing else runs beside; it is left running."""
    cold_s, cold_cpu_s = min([await _cold_s(place) for _ in range(_ROUNDS)])
    event_s = min([await _event_s(place) for _ in range(_ROUNDS)])
    serving = place.peer.cold_pids(place.server.pids()) or place.server.pids()
    idle = "nothing runs"
    if not place.peer.cold_pids(place.server.pids()):
        before_s = place.server.cpu_s(serving)
        await asyncio.sleep(_IDLE_S)
        idle = f"{1000 * (place.server.cpu_s(serving) - before_s) * 60 / _IDLE_S:.0f} ms"
    return {
        COLD: f"{1000 * cold_s:.0f} ms, {1000 * cold_cpu_s:.0f} ms",
        EVENT: f"{1_000_000 * event_s:.0f} µs",
        MEMORY: f"{place.server.rss_mb(serving):.0f} MB",
        IDLE: idle,
    }


async def _cold_s(place: Place) -> tuple[float, float]:
    """Start the server, or of a stand-in for a cloud the function, and wait for a text."""
    if pids := place.peer.cold_pids(place.server.pids()):
        place.server.end(pids)
        began = time.monotonic()
    else:
        place.server.kill()
        place.server.start()
        began = place.server.started
    heard = Heard()
    while not heard.text:
        tag = place.tag()
        pieces = place.peer.run(place.http, f"[{tag}] say 1 at 0", tag)
        await place.listen(pieces, heard, lambda: bool(heard.text))
        if not heard.text:
            await asyncio.sleep(0.005)
    took_s = time.monotonic() - began
    pids = place.server.pids()
    return took_s, place.server.cpu_s(place.peer.cold_pids(pids) or pids)


async def _event_s(place: Place) -> float:
    pids = place.working_pids()
    before_s = place.server.cpu_s(pids)
    heard = await place.ask(f"[{place.tag()}] say {_EVENTS} at 0")
    assert heard.text.count("w") == _EVENTS, f"{place.peer.name}: {heard.refusal}"
    return (place.server.cpu_s(pids) - before_s) / _EVENTS
