"""What a stream adds to each event at 100 events/s, from the model to the socket outside."""

from statistics import median

from bench.lab import Lab
from bench.recording import Stamp, cpu_per_delta_us
from bench.table import Budget, Row, compare, percentile

ROUNDS = 3
_EVENTS, _PACE_MS = 400, 10


async def measure(lab: Lab) -> list[Row]:
    """Stream by turns from the function, which records, and from its peers, which do not."""
    async with lab.stamped() as targets:
        rounds: dict[str, list[list[Stamp]]] = {name: [] for name in targets}
        for _ in range(ROUNDS):
            for name, target in targets.items():
                recording = await target.complete("echo", f"/emit {_EVENTS} every {_PACE_MS}")
                rounds[name].append(recording.stamps())
    p50, p99 = (
        {name: _percentile(taken, percent) for name, taken in rounds.items()}
        for percent in (50, 99)
    )
    cpu = {name: median(map(cpu_per_delta_us, taken)) for name, taken in rounds.items()}
    return [
        *compare("added latency per event at 100/s, recorded, p50", p50, "ms", Budget(1, "peer")),
        *compare("added latency per event at 100/s, recorded, p99", p99, "ms", Budget(1, "peer")),
        *compare("  processor per event at this pace", cpu, "us"),
    ]


def _percentile(rounds: list[list[Stamp]], percent: int) -> float:
    """Return the median over the rounds: one that was disturbed does not count."""
    return median(percentile([s.latency_ms for s in stamps], percent) for stamps in rounds)
