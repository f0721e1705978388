"""Measure fifty streams at once in one process."""

import asyncio

from bench.lab import Lab, Target
from bench.latency import STAMPED
from bench.recording import Recording, StreamFailedError
from bench.table import Row, percentile

STREAMS = 50
_EVENTS, _PACE_MS = 140, 50
_RAMP_S = 3.0


async def measure(lab: Lab) -> list[Row]:
    """Stream 20 events/s to each of 50 clients; every missing event is an error."""
    settings = {"AWS_LAMBDA_MAX_CONCURRENCY": str(STREAMS), **lab.on_light_store}
    async with lab.function(*STAMPED, settings) as ours:
        latencies, errors = _figures(await _all_streams(ours))
        rss_mb = await ours.process.rss_mb()
    async with lab.peer("--stamped") as peer:
        peer_latencies, _ = _figures(await _all_streams(peer))
    p50, p99 = (percentile(latencies, percent) for percent in (50, 99))
    peer_p50, peer_p99 = (percentile(peer_latencies, percent) for percent in (50, 99))
    return [
        Row(f"{STREAMS} streams, 20 events/s each, p99", f"{p99:.1f} ms", "<= 3 ms", p99 <= 3),
        Row("  p50", f"{p50:.1f} ms"),
        Row("  peer's, unrecorded, p50 / p99", f"{peer_p50:.1f} / {peer_p99:.1f} ms"),
        Row("  events missing, streams broken", str(errors), "0", errors == 0),
        Row("  resident memory of the process", f"{rss_mb:.0f} MB", "<= 150 MB", rss_mb <= 150),
    ]


async def _all_streams(target: Target) -> list[Recording | BaseException]:
    await target.complete("echo", "/emit 50")
    recordings = []
    for _ in range(STREAMS):
        recordings.append(target.stream("echo", f"/emit {_EVENTS} every {_PACE_MS}"))
        await asyncio.sleep(_RAMP_S / STREAMS)
    return await asyncio.gather(
        *(recording.complete() for recording in recordings), return_exceptions=True
    )


def _figures(ended: list[Recording | BaseException]) -> tuple[list[float], int]:
    """Return the latencies from the last stream's first event on, and the number of errors."""
    errors = 0
    streams = []
    for recording in ended:
        if not isinstance(recording, Recording):
            if not isinstance(recording, StreamFailedError | TimeoutError):
                raise recording
            errors += 1
            continue
        stamps = recording.stamps()
        errors += _EVENTS - len(stamps) + (not recording.holds("STOP"))
        if stamps:
            streams.append(stamps)
    all_run_from = max(stamps[0].sent for stamps in streams)
    latencies = [s.latency_ms for stamps in streams for s in stamps if s.sent >= all_run_from]
    return latencies, errors
