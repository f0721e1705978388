"""From a process's start to its first bytes: the stream function, and its peer."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from statistics import median
from subprocess import check_output

from bench.lab import Lab, Target
from bench.table import Budget, Row, compare

ROUNDS = 7
UNCOMPILED_ROUNDS = 3
_AGENT, _QUESTION = "docs_assistant", "How do I attach to a run again?"
_EVENTS = (("START", Budget(0.5, "peer")), ("CONTENT_DELTA", Budget(0.75, "peer")))


async def measure(lab: Lab) -> list[Row]:
    """Start each in turn, so that whatever else the machine does hits all of them alike."""
    with tempfile.TemporaryDirectory(prefix="agentrun-bench-") as folder:
        _keep_compiled_standard_library(lab, Path(folder))
        settings = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        starts: dict[str, Callable[[], AbstractAsyncContextManager[Target]]] = {
            **{build.name: partial(lab.function, build) for build in lab.builds},
            "peer": partial(lab.peer, "searching"),
            "uncompiled": partial(lab.function, lab.builds[0], settings=settings),
        }
        times: dict[str, list[list[float]]] = {name: [] for name in starts}
        # The first round compiles what was not, and fills the system's cache of files.
        for number in range(ROUNDS + 1):
            for name, start in starts.items():
                if name == "uncompiled" and number > UNCOMPILED_ROUNDS:
                    continue
                measured = await _cold_start(start())
                if number:
                    times[name].append(measured)
    rows = []
    for which, (event, budget) in enumerate(_EVENTS):
        medians = _medians(times, which)
        uncompiled = medians.pop("uncompiled")
        rows += compare(f"cold start to first {event}", medians, "ms", budget)
        rows.append(Row("  without .pyc of ours and our packages", f"{uncompiled:.0f} ms"))
    used = _medians(times, len(_EVENTS))
    del used["uncompiled"]
    return [*rows, *compare("  processor of a cold start and its run", used, "ms")]


def _medians(times: dict[str, list[list[float]]], which: int) -> dict[str, float]:
    return {name: median(measured[which] for measured in taken) for name, taken in times.items()}


def _keep_compiled_standard_library(lab: Lab, folder: Path) -> None:
    """Lambda's interpreter comes compiled; what is missing there is our packages' bytecode."""
    ask = "import sys, sysconfig as s; print(s.get_path('stdlib'), sys.implementation.cache_tag)"
    answer = check_output([lab.interpreter.command, "-c", ask], text=True)
    library, tag = answer.split()
    for cache in Path(library).rglob("__pycache__"):
        if "site-packages" not in cache.parts and "test" not in cache.parts:
            target = folder / cache.parent.relative_to(cache.anchor)
            target.mkdir(parents=True, exist_ok=True)
            for file in cache.glob(f"*.{tag}.pyc"):
                shutil.copy2(file, target)


async def _cold_start(start: AbstractAsyncContextManager[Target]) -> list[float]:
    async with start as target:
        recording = await target.complete(_AGENT, _QUESTION)
        began = target.process.started_ns
        waited = [(recording.first_ns(event) - began) / 1e6 for event, _ in _EVENTS]
        return [*waited, target.process.cpu_s() * 1e3]
