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
    asked = lab.event("authorizer")
    return [
        *await _by_turns(lab, "status", PLAIN_STATUS, polled, polled),
        *await _by_turns(lab, "authorizer", _PLAIN_AUTHORIZER, asked, polled),
    ]


async def _by_turns(
    lab: Lab, name: str, plain: Path, event: bytes, plain_event: bytes
) -> list[Row]:
    starts = {
        build.name: (partial(lab.buffered, build, build.root / "functions" / name), event)
        for build in lab.builds
    }
    starts["plain FastAPI"] = (partial(lab.buffered, lab.builds[0], plain), plain_event)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    # The first round compiles what was not, and fills the system's cache of files.
    for number in range(ROUNDS + 1):
        for which, (start, asked) in starts.items():
            measured = await _cold_start(start(), asked)
            if number:
                taken[which].append(measured)
    waited, used = (
        {which: median(measured[column] for measured in taken[which]) for which in taken}
        for column in (0, 1)
    )
    what = f"cold start of the {name} function to its first answer"
    return [
        *compare(what, waited, "ms", Budget(1, "plain FastAPI")),
        *compare("  processor until then", used, "ms"),
    ]


async def _cold_start(
    start: AbstractAsyncContextManager[BufferedTarget], event: bytes
) -> tuple[float, float]:
    async with start as target:
        ended_ns = await answer(target, event)
        return (ended_ns - target.process.started_ns) / 1e6, target.process.cpu_s() * 1e3
