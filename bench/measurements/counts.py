"""
A guard against getting slower: bytecode instructions instead of seconds, against a stored baseline.

They do not depend on what else the machine does. What C code does they do not see; the other
measurements have that.
"""

import json
import re
from pathlib import Path
from statistics import median

from bench.lab import Lab, Target
from bench.layers import Build
from bench.table import Row, compare

BASELINE = Path(__file__).parent.parent / "baseline.json"
TOLERANCE = 0.01
STARTS, ROUNDS, EVENTS = 9, 3, 300
_COUNTED = "bench.inside.counted_app.handler"
_START = re.compile(r"^START after (\d+) instructions$", re.MULTILINE)
_WHAT = {
    "event": "instructions for an event, recorded",
    "start": "instructions from a request to START",
}


async def measure(lab: Lab) -> list[Row]:
    """Count, and compare with the baseline."""
    python = _minor(lab.interpreter.version)
    if python < (3, 12):
        return [Row("instructions", f"not counted: Python 3.12 has it, {python} has not")]
    counted, *before = [await _count(lab, build) for build in lab.builds]
    stored = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    comparable = "python" in stored and _minor(stored["python"]) == python
    rows = [_row(name, counted, stored if comparable else {}) for name in _WHAT]
    for other in before:
        for name, what in _WHAT.items():
            figures = {"ours": counted[name], "before": other[name]}
            rows += compare(f"  {what}", figures, "")
    return rows


async def update(lab: Lab) -> None:
    """Count, and store the figures as the baseline."""
    counted = {"python": lab.interpreter.version, **await _count(lab, lab.builds[0])}
    BASELINE.write_text(json.dumps(counted, indent=2) + "\n")


async def _count(lab: Lab, build: Build) -> dict[str, int]:
    async with lab.function(build, _COUNTED, lab.on_light_store) as target:
        await target.complete("echo", "/emit 50")
        starts = [await _start(target) for _ in range(STARTS)]
        rounds = [await _per_event(target) for _ in range(ROUNDS)]
    # A flush or a heartbeat falls into few of them, a connection that is opened anew into one.
    return {"event": round(min(rounds)), "start": round(median(starts))}


async def _start(target: Target) -> int:
    await target.complete("echo", "/emit 1")
    return int(_START.findall(target.process.output())[-1])


async def _per_event(target: Target) -> float:
    stamps = (await target.complete("echo", f"/emit {EVENTS}")).stamps()
    return (stamps[-1].cpu - stamps[0].cpu) / (len(stamps) - 1)


def _row(name: str, counted: dict[str, int], stored: dict[str, int]) -> Row:
    figure = f"{counted[name]:,}"
    if name not in stored:
        return Row(_WHAT[name], f"{figure}; no baseline for this Python")
    change = counted[name] / stored[name] - 1
    text = f"{figure} = {change:+.1%} to the baseline's {stored[name]:,}"
    return Row(_WHAT[name], text, f"<= {TOLERANCE:+.0%}", change <= TOLERANCE)


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
