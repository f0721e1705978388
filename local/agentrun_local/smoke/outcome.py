"""The outcome of a check: whether its point holds, what was seen, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agentrun_local.smoke.target import Door, Target


class Verdict(StrEnum):
    """Whether a point holds."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Outcome:
    """A verdict and what was seen; a remedy only if it is not the check's own."""

    verdict: Verdict
    seen: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One point, checked at each of its doors."""

    name: str
    remedy: str
    doors: tuple[Door, ...]
    probe: "Callable[[Target, Door], Outcome]"


def holds(seen: str) -> Outcome:
    """Say that the point holds."""
    return Outcome(Verdict.HOLDS, seen)


def fails(seen: str, remedy: str = "") -> Outcome:
    """Say that the point fails; without a remedy the check's own is shown."""
    return Outcome(Verdict.FAILS, seen, remedy)


def not_tried(why: str) -> Outcome:
    """Say that the point could not be checked, and why."""
    return Outcome(Verdict.NOT_TRIED, why)
