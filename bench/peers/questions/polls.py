"""What it takes to ask how runs are doing."""

import asyncio

from bench.peers.peer import NoWayError, Run
from bench.peers.place import Place
from bench.peers.questions import Answers

_RUNS, _AT_ONCE = 100, 5
_BATCHES = 20
ONE = "one poll of a run's status: processor"
HUNDRED = "status of 100 runs: requests, processor"


async def ask(place: Place) -> Answers:
    """Make 100 short runs, poll each once, then ask for all of them 20 times."""
    runs = [run for run in await _made(place) if run is not None]
    if len(runs) < _RUNS:
        return {ONE: "no status", HUNDRED: "no status"}
    try:
        await place.peer.status(place.http, runs[0])
    except NoWayError:
        return {ONE: "no status", HUNDRED: "no status"}
    pids = place.working_pids()
    before_s = place.server.cpu_s(pids)
    for run in runs:
        await place.peer.status(place.http, run)
    one_s = (place.server.cpu_s(pids) - before_s) / len(runs)
    before_s, requests = place.server.cpu_s(pids), 0
    rounds = _BATCHES if await place.peer.statuses(place.http, runs) == 1 else 2
    for _ in range(rounds):
        requests = await place.peer.statuses(place.http, runs)
    # The first one, which only told how many requests there are, is counted, too.
    many_s = (place.server.cpu_s(pids) - before_s) / (rounds + 1)
    return {ONE: f"{1000 * one_s:.1f} ms", HUNDRED: f"{requests}, {1000 * many_s:.0f} ms"}


async def _made(place: Place) -> list[Run | None]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one() -> Run | None:
        async with places:
            return (await place.ask(f"[{place.tag()}] say 5 at 0")).run

    return await asyncio.gather(*(one() for _ in range(_RUNS)))
