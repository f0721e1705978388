"""A tool that takes its time, so that a test can kill what runs it."""

import asyncio


async def act(seconds: float) -> str:
    """
    Act, slowly.

    Args:
        seconds: How long it takes.
    """
    await asyncio.sleep(seconds)
    return "acted"
