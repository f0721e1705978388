"""From a process's start to its first bytes: the function, and its peer."""

import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from statistics import median

from bench.lab import Lab, Target
from bench.table import Row

ROUNDS = 7
UNCOMPILED_ROUNDS = 3
_AGENT, _QUESTION = "docs_assistant", "How do I attach to a run again?"

# What Lambda sets where it takes a snapshot; the package for the hooks is in its own runtime.
_SNAPSHOT = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}

_Times = tuple[float, float]


async def measure(lab: Lab) -> list[Row]:
    """Start each in turn, so that whatever else the machine does hits all of them alike."""
    with tempfile.TemporaryDirectory(prefix="agentrun-bench-") as folder:
        _keep_compiled_standard_library(Path(folder))
        settings = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        starts: dict[str, Callable[[], AbstractAsyncContextManager[Target]]] = {
            "ours": lab.function,
            "peer": lab.peer,
            "uncompiled": lambda: lab.function(settings=settings),
            "restored": lambda: lab.function(settings=_SNAPSHOT),
        }
        times: dict[str, list[_Times]] = {name: [] for name in starts}
        # The first round compiles what was not, and fills the system's cache of files.
        for number in range(ROUNDS + 1):
            for name, start in starts.items():
                if name == "uncompiled" and number > UNCOMPILED_ROUNDS:
                    continue
                measured = await _cold_start(start())
                if number:
                    times[name].append(measured)
    return _rows({name: _medians(taken) for name, taken in times.items()})


def _keep_compiled_standard_library(folder: Path) -> None:
    """Lambda's interpreter comes compiled; what is missing there is our packages' bytecode."""
    library = Path(sysconfig.get_path("stdlib"))
    for cache in library.rglob("__pycache__"):
        if "site-packages" not in cache.parts and "test" not in cache.parts:
            target = folder / cache.parent.relative_to(cache.anchor)
            target.mkdir(parents=True, exist_ok=True)
            for file in cache.glob(f"*.{sys.implementation.cache_tag}.pyc"):
                shutil.copy2(file, target)


async def _cold_start(start: AbstractAsyncContextManager[Target]) -> _Times:
    async with start as target:
        recording = await target.complete(_AGENT, _QUESTION)
        began = target.restored_ns() or target.process.started_ns
        first = (recording.first_ns(event) for event in ("START", "CONTENT_DELTA"))
        to_start, to_delta = ((at - began) / 1e6 for at in first)
        return to_start, to_delta


def _medians(times: list[_Times]) -> _Times:
    return median(t[0] for t in times), median(t[1] for t in times)


def _rows(medians: dict[str, _Times]) -> list[Row]:
    rows = []
    for which, event, budget in ((0, "START", 0.5), (1, "CONTENT_DELTA", 0.75)):
        ours, peer, uncompiled, restored = (
            medians[name][which] for name in ("ours", "peer", "uncompiled", "restored")
        )
        ratio = ours / peer
        rows += [
            Row(
                f"cold start to first {event}",
                f"{ours:.0f} ms = {ratio:.2f} x peer's {peer:.0f} ms",
                f"<= {budget} x",
                ratio <= budget,
            ),
            Row("  the same without .pyc of ours and our packages", f"{uncompiled:.0f} ms"),
            Row("  after the init that SnapStart saves", f"{restored:.0f} ms"),
        ]
    return rows
