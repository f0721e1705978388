"""From the start of the status and the authorizer function to their first answer."""

from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from statistics import median

from bench.lab import BufferedTarget, Lab
from bench.measurements.polls import PLAIN_STATUS, answer, finished_runs, poll, put_plain_item
from bench.processes import ROOT
from bench.table import Budget, Row, compare

ROUNDS = 5
_PLAIN_AUTHORIZER = ROOT / "bench" / "inside" / "plain_authorizer"


async def measure(lab: Lab) -> list[Row]:
    """Start each in turn, beside plain FastAPI and Mangum with the same work to do."""
    (run_id,) = await finished_runs(lab, 1)
    await put_plain_item(lab, run_id)
    polled = poll(lab, run_id)
    status = await _by_turns(lab, "status", PLAIN_STATUS, polled, polled)
    asked = lab.event("authorizer")
    authorizer = await _by_turns(lab, "authorizer", _PLAIN_AUTHORIZER, asked, polled)
    budget = Budget(1, "plain FastAPI")
    return [
        *compare("cold start of the status function to a poll's answer", status, "ms", budget),
        *compare("cold start of the authorizer to its answer", authorizer, "ms", budget),
    ]


async def _by_turns(
    lab: Lab, name: str, plain: Path, event: bytes, plain_event: bytes
) -> dict[str, float]:
    starts = {
        build.name: (partial(lab.buffered, build, build.root / "functions" / name), event)
        for build in lab.builds
    }
    starts["plain FastAPI"] = (partial(lab.buffered, lab.builds[0], plain), plain_event)
    times: dict[str, list[float]] = {name: [] for name in starts}
    # The first round compiles what was not, and fills the system's cache of files.
    for number in range(ROUNDS + 1):
        for which, (start, asked) in starts.items():
            taken = await _cold_start(start(), asked)
            if number:
                times[which].append(taken)
    return {which: median(taken) for which, taken in times.items()}


async def _cold_start(start: AbstractAsyncContextManager[BufferedTarget], event: bytes) -> float:
    async with start as target:
        ended_ns = await answer(target, event)
        return (ended_ns - target.process.started_ns) / 1e6
