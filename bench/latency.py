"""Measure what a stream adds to each event at 100 events/s, from model to socket."""

from statistics import median

from bench.lab import Lab, Target
from bench.processes import ROOT
from bench.recording import Stamp, cpu_per_delta_us
from bench.table import Row, percentile

ROUNDS = 3
_EVENTS, _PACE_MS = 400, 10
STAMPED = ("bench.stamped_app.handler", ROOT)


async def measure(lab: Lab) -> list[Row]:
    """Stream alternately from the function, which records, and its peer, which does not."""
    rounds: dict[str, list[list[Stamp]]] = {"ours": [], "peer": []}
    async with lab.function(*STAMPED, lab.on_light_store) as ours, lab.peer("--stamped") as peer:
        for target in (ours, peer):
            await target.complete("echo", "/emit 50")
        for _ in range(ROUNDS):
            rounds["ours"].append(await _stream(ours))
            rounds["peer"].append(await _stream(peer))
    figures = {name: _figures(taken) for name, taken in rounds.items()}
    p50, p99, cpu = figures["ours"]
    peer_p50, peer_p99, peer_cpu = figures["peer"]
    return [
        Row("added latency per event, recorded, p50", f"{p50:.2f} ms", "<= 0.6 ms", p50 <= 0.6),
        Row("added latency per event, recorded, p99", f"{p99:.2f} ms", "<= 1.2 ms", p99 <= 1.2),
        Row("  peer's, unrecorded, p50 / p99", f"{peer_p50:.2f} / {peer_p99:.2f} ms"),
        Row("  CPU per event at this pace, ours / peer's", f"{cpu:.0f} / {peer_cpu:.0f} us"),
    ]


async def _stream(target: Target) -> list[Stamp]:
    recording = await target.complete("echo", f"/emit {_EVENTS} every {_PACE_MS}")
    return recording.stamps()


def _figures(rounds: list[list[Stamp]]) -> tuple[float, float, float]:
    """Return the medians over the rounds, so that a disturbed round does not count."""
    latencies = [[stamp.latency_ms for stamp in stamps] for stamps in rounds]
    return (
        median(percentile(values, 50) for values in latencies),
        median(percentile(values, 99) for values in latencies),
        median(cpu_per_delta_us(stamps) for stamps in rounds),
    )
