"""Measure unpaced throughput: of the runtime alone, and of the whole with the engine."""

import asyncio
from statistics import median

from bench.lab import Lab, Target
from bench.latency import STAMPED
from bench.processes import ROOT, ProcessEndedError
from bench.recording import cpu_per_delta_us
from bench.table import Row

ROUNDS = 3
_FRAMES = 40_000
_EVENTS = 4_000


async def measure(lab: Lab) -> list[Row]:
    """Measure events per second through `lambda_asgi`, and processor time per event."""
    rate = await _runtime_alone(lab, "handler")
    turns = await _runtime_alone(lab, "turning_handler")
    bare = await _bare_engine(lab)
    async with lab.function(*STAMPED, lab.on_light_store) as ours, lab.peer("--stamped") as peer:
        cpu, peer_cpu = await _cpu_by_turns(ours, peer)
    budget = 1.2 * bare
    return [
        Row(
            "lambda_asgi alone, unthrottled",
            f"{rate / 1e3:.0f} k events/s",
            ">= 60 k",
            rate >= 60_000,
        ),
        Row("  the same, a chunk for each event", f"{turns / 1e3:.0f} k events/s"),
        Row(
            "CPU per event, unthrottled, recorded",
            f"{cpu:.0f} us = {cpu / bare:.2f} x pydantic-ai's own {bare:.0f} us",
            "<= 1.2 x",
            cpu <= budget,
        ),
        Row("  peer's, unrecorded", f"{peer_cpu:.0f} us = {peer_cpu / bare:.2f} x"),
    ]


async def _runtime_alone(lab: Lab, handler: str) -> float:
    rates = []
    async with lab.function(f"bench.plain_app.{handler}", ROOT) as target:
        for _ in range(ROUNDS):
            times = (await target.complete(str(_FRAMES), "")).times
            rates.append(_FRAMES / (times[-1] - times[0]) * 1e9)
    return median(rates)


async def _bare_engine(lab: Lab) -> float:
    process = await asyncio.create_subprocess_exec(
        *(lab.interpreter, "-m", "bench.bare_engine", str(_EVENTS)),
        cwd=ROOT,
        env=lab.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise ProcessEndedError(output.decode())
    return median(float(line) for line in output.split())


async def _cpu_by_turns(ours: Target, peer: Target) -> tuple[float, float]:
    taken: dict[int, list[float]] = {ours.process.pid: [], peer.process.pid: []}
    for number in range(ROUNDS + 1):
        for target in (ours, peer):
            stamps = (await target.complete("echo", f"/emit {_EVENTS}")).stamps()
            if number:
                taken[target.process.pid].append(cpu_per_delta_us(stamps))
    return median(taken[ours.process.pid]), median(taken[peer.process.pid])
