"""What every peer's agent can do: leave a line in a file, at once or with an approval."""

import asyncio
import os
from pathlib import Path


async def act(note: str, hold_s: float) -> str:
    """
    Leave one line in the file of effects.

    Args:
        note: What the line says.
        hold_s: Seconds from the effect to the result.
    """
    await asyncio.to_thread(_append, note)
    await asyncio.sleep(hold_s)
    return "done"


async def pay(note: str) -> str:
    """
    Leave one line in the file of effects, once somebody has approved it.

    Args:
        note: What the line says.
    """
    await asyncio.to_thread(_append, note)
    return "paid"


def _append(note: str) -> None:
    with Path(os.environ["EFFECTS"]).open("a") as file:
        file.write(f"{note}\n")
