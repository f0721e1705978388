"""Tools to try an engine with."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

from agent_catalog.toolkit import Session, ToolInputError

calls: list[str] = []
released = threading.Event()
hanging = asyncio.Event()


@dataclass
class Point:
    x: int
    y: float


def add(left: int, right: int) -> int:
    """Add two integers."""
    return left + right


async def locate(name: str) -> list[Point]:
    """Locate something."""
    return [Point(len(name), float("inf"))]


def whose(session: Session, greeting: str = "hello") -> str:
    """Say whose session it is."""
    return f"{greeting} {session.tenant}/{session.user_id}/{session.session_id}"


def refuse(reason: str) -> str:
    """Refuse with a reason."""
    raise ToolInputError(f"No: {reason}.")


def crash() -> str:
    """Crash with a secret."""
    raise RuntimeError("password=hunter2")


async def hang() -> str:
    """Hang until it is cancelled."""
    hanging.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        calls.append("cancelled")
        raise
    return "never"


def hang_in_thread() -> str:
    """Hang, deaf to everything, until the test lets go."""
    released.wait(10)
    return "never heard"


def launch(session: Session, stages: int = 1) -> dict[str, int]:
    """Launch the rocket, and tell how many were launched before it."""
    calls.append(f"launched {stages}")
    return {"stages": stages, "before": len(session.results.of("launch"))}


def land(place: str) -> str:
    """Land somewhere."""
    calls.append(f"landed on {place}")
    return place


def give_back(value: Any) -> Any:
    """Return what it is given."""
    return value


def undocumented() -> None:
    raise AssertionError


def count_far() -> int:
    """Count further than JSON is read."""
    return 10**5000


def messen(größe: int) -> int:  # noqa: PLC2401 - a name that providers refuse
    """Measure."""
    return größe
