"""A tool that takes its time, so that a test can kill what runs it."""

import asyncio
from pathlib import Path


async def act(seconds: float, done_before: str = "") -> str:
    """
    Act, slowly.

    Args:
        seconds: How long it takes.
        done_before: A file that the first call makes; with it there, a call takes no time.
    """
    if done_before and _is_done(Path(done_before)):
        return "acted again"
    await asyncio.sleep(seconds)
    return "acted"


def _is_done(mark: Path) -> bool:
    if mark.exists():
        return True
    mark.touch()
    return False
