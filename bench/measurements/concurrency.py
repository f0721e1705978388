"""Fifty streams at once in one process."""

import asyncio

from bench.lab import Lab, Target
from bench.recording import Recording, StreamFailedError
from bench.table import Budget, Row, compare, percentile

STREAMS = 50
_EVENTS, _PACE_MS = 140, 50
_RAMP_S = 3.0


async def measure(lab: Lab) -> list[Row]:
    """Stream 20 events/s to each of 50 clients; every event that is missing is an error."""
    errors: dict[str, float] = {}
    memory: dict[str, float] = {}
    p50: dict[str, float] = {}
    p99: dict[str, float] = {}
    async with lab.stamped(AWS_LAMBDA_MAX_CONCURRENCY=str(STREAMS)) as targets:
        for name, target in targets.items():
            latencies, errors[name] = _figures(await _all_streams(target))
            p50[name], p99[name] = (percentile(latencies, percent) for percent in (50, 99))
            memory[name] = await target.process.rss_mb()
    what = f"{STREAMS} streams, 20 events/s each"
    return [
        *compare(f"{what}, p99", p99, "ms", Budget(1, "peer")),
        *compare("  p50", p50, "ms"),
        *compare("  events missing, streams broken", {"ours": errors["ours"]}, "", Budget(0)),
        *compare("  resident memory of the process", memory, "MB", Budget(100)),
    ]


async def _all_streams(target: Target) -> list[Recording | BaseException]:
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
