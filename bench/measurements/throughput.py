"""How fast it goes when nothing paces it: the runtime alone, and the whole with the engine."""

from collections.abc import Callable
from statistics import median

from bench.lab import Lab
from bench.recording import Stamp, cpu_per_delta_us
from bench.table import Budget, Row, compare

ROUNDS = 5
_FRAMES = 40_000
_EVENTS = 4_000


async def measure(lab: Lab) -> list[Row]:
    """Measure events per second through `lambda_asgi`, and processor time per event."""
    bursts = await _runtime_alone(lab, "handler")
    yielding = await _runtime_alone(lab, "turning_handler")
    async with lab.stamped() as targets:
        rounds: dict[str, list[list[Stamp]]] = {name: [] for name in targets}
        for _ in range(ROUNDS):
            for name, target in targets.items():
                recording = await target.complete("echo", f"/emit {_EVENTS}")
                rounds[name].append(recording.stamps())
    cpu = _best(rounds, cpu_per_delta_us, min)
    rate = _best(rounds, _events_per_s, max)
    return [
        *compare("processor per event, recorded, unthrottled", cpu, "us", Budget(0.5, "peer")),
        *compare("one stream, recorded, unthrottled", rate, "events/s", _at_least(14_000)),
        *compare("lambda_asgi alone, unthrottled", bursts, "events/s", _at_least(60_000)),
        *compare("  the same, a chunk for each event", yielding, "events/s"),
    ]


def _at_least(limit: float) -> Budget:
    return Budget(limit, at_least=True)


def _best(
    rounds: dict[str, list[list[Stamp]]],
    figure: Callable[[list[Stamp]], float],
    best: Callable[[list[float]], float],
) -> dict[str, float]:
    """Return the best of the rounds: what else the machine does can only make it worse."""
    return {name: best([figure(stamps) for stamps in taken]) for name, taken in rounds.items()}


def _events_per_s(stamps: list[Stamp]) -> float:
    return (len(stamps) - 1) / (stamps[-1].received - stamps[0].sent) * 1e9


async def _runtime_alone(lab: Lab, handler: str) -> dict[str, float]:
    rates = {}
    for build in lab.builds:
        taken = []
        async with lab.function(build, f"bench.inside.plain_app.{handler}") as target:
            for _ in range(ROUNDS):
                times = (await target.complete(str(_FRAMES), "")).times
                taken.append(_FRAMES / (times[-1] - times[0]) * 1e9)
        rates[build.name] = median(taken)
    return rates
