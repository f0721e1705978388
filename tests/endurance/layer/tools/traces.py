"""Tools whose effects can be counted: each effect is a file, named after the call that made it."""

import asyncio
import os
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from agent_catalog.toolkit import Session


async def act_once(session: Session, step: int, before_s: float, after_s: float) -> str:
    """
    Act; a second time would be one too many.

    Args:
        step: Which step of the turn it is.
        before_s: Seconds until the effect.
        after_s: Seconds from the effect to the result.
    """
    await _act(session, "act_once", str(uuid4()), before_s, after_s)
    return f"step {step} is done"


async def act_keyed(session: Session, step: int, before_s: float, after_s: float) -> str:
    """
    Act, unless this call has acted before.

    Args:
        step: Which step of the turn it is.
        before_s: Seconds until the effect.
        after_s: Seconds from the effect to the result.
    """
    await _act(session, "act_keyed", "once", before_s, after_s)
    return f"step {step} is done"


async def look(session: Session, step: int, before_s: float, after_s: float) -> str:
    """
    Do what may be done as often as one likes.

    Args:
        step: Which step of the turn it is.
        before_s: Seconds until the effect.
        after_s: Seconds from the effect to the result.
    """
    await _act(session, "look", str(uuid4()), before_s, after_s)
    return f"step {step} is done"


async def act_approved(session: Session, step: int, before_s: float, after_s: float) -> str:
    """
    Act, once somebody has approved it.

    Args:
        step: Which step of the turn it is.
        before_s: Seconds until the effect.
        after_s: Seconds from the effect to the result.
    """
    await _act(session, "act_approved", str(uuid4()), before_s, after_s)
    return f"step {step} is done"


async def _act(session: Session, tool: str, effect: str, before_s: float, after_s: float) -> None:
    await asyncio.sleep(before_s)
    effects = Path(os.environ["ENDURANCE_FOLDER"], "effects", session.run_id)
    call = effects / f"{tool} {quote(session.call_id, safe='')}"
    call.mkdir(parents=True, exist_ok=True)
    # Whole at once: a process that is killed has left it or has not.
    (call / effect).touch()
    await asyncio.sleep(after_s)
