"""What the stamped models say: each delta tells when it was spoken, and how much work that was."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable

_COUNT_AND_PACE = re.compile(r"/emit (\d+)(?: every (\d+))?")


async def stamps(
    message: str, effort: Callable[[], int] = time.process_time_ns
) -> AsyncIterator[str]:
    """
    Obey `/emit N` and `/emit N every MS`, as the demo model does.

    Args:
        message: What the user says.
        effort: What each delta has after its time: how much work there was until then.
    """
    match = _COUNT_AND_PACE.fullmatch(message)
    if match is None:
        raise ValueError("the stamped model obeys /emit only")
    pace_s = int(match[2] or 0) / 1000
    started = time.monotonic()
    for number in range(1, int(match[1]) + 1):
        yield f"{time.monotonic_ns()}:{effort()} "
        if pace_s:
            # By the clock, so that a late delta does not make all that follow late.
            await asyncio.sleep(started + number * pace_s - time.monotonic())
