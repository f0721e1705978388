"""From a request to START: one after the other in a warm process, and fifty at once."""

import asyncio
from collections.abc import Mapping
from statistics import median

from bench.lab import Lab, Target
from bench.recording import Recording
from bench.table import Budget, Row, compare, percentile

RUNS, ROUNDS, BURST_ROUNDS = 20, 7, 3
BURST = 50
_EVENTS, _PACE_MS = 100, 50


async def measure(lab: Lab) -> list[Row]:
    """Start short runs by turns."""
    async with lab.stamped() as targets:
        order = list(targets.items())
        waits: dict[str, list[float]] = {name: [] for name in targets}
        cpu: dict[str, list[float]] = {name: [] for name in targets}
        for _ in range(ROUNDS):
            # The first of a round finds the processor's caches as the last one has left them.
            order.reverse()
            for name, target in order:
                before = target.process.cpu_s()
                waited = [await _start(target) for _ in range(RUNS)]
                cpu[name].append((target.process.cpu_s() - before) / RUNS * 1e3)
                waits[name].append(median(waited))
    best = {name: min(taken) for name, taken in waits.items()}
    cheapest = {name: min(taken) for name, taken in cpu.items()}
    budget = Budget(0.45, "before")
    return [
        *compare("request to START, warm, recorded, p50", best, "ms", budget),
        *compare("  processor of a run of one event, start to end", cheapest, "ms", budget),
    ]


async def _start(target: Target) -> float:
    return (await target.complete("echo", "/emit 1")).wait_ms("START")


async def measure_burst(lab: Lab) -> list[Row]:
    """Start fifty runs at once, each of 20 events/s."""
    lasts: dict[str, list[float]] = {}
    tails: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    async with lab.stamped(AWS_LAMBDA_MAX_CONCURRENCY=str(BURST)) as targets:
        for _ in range(BURST_ROUNDS):
            for name, target in targets.items():
                before = target.process.cpu_s()
                recordings = await _burst(target)
                used = target.process.cpu_s() - before
                cpu.setdefault(name, []).append(used / BURST * 1e3)
                lasts.setdefault(name, []).append(max(r.wait_ms("START") for r in recordings))
                latencies = [stamp.latency_ms for r in recordings for stamp in r.stamps()]
                tails.setdefault(name, []).append(percentile(latencies, 99))
    last, tail, used_by = _medians(lasts), _medians(tails), _medians(cpu)
    budgets = Budget(0.45, "before"), Budget(1, "peer")
    return [
        *compare(f"{BURST} starts at once, last START", last, "ms", budgets[0]),
        *compare("  99th percentile of all their events", tail, "ms", budgets[1]),
        *compare(f"  processor of each, {_EVENTS} events", used_by, "ms"),
    ]


async def _burst(target: Target) -> list[Recording]:
    asked = [target.stream("echo", f"/emit {_EVENTS} every {_PACE_MS}") for _ in range(BURST)]
    return await asyncio.gather(*(target.ended(recording) for recording in asked))


def _medians(taken: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(figures) for name, figures in taken.items()}
