"""The situations that readers are put into."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.readers.proxy import Fault

BROKEN_AT_ONCE = Fault("broken", after_events=0)
BROKEN = Fault("broken", after_events=3)
ENDED_EARLY = Fault("clean", after_events=2)
SPOILED = Fault(spoils_token=True)
AGAIN = 10
"""Requests that a reader makes until nobody waits any longer for its last one, and some."""


@dataclass(frozen=True)
class Situation:
    """What a reader is used for, how, and what goes wrong meanwhile."""

    name: str
    faults: Sequence[Fault] = ()
    """Of the requests whose answers it reads, in their order."""
    agent: str = "echo"
    message: str = "/emit 12 every 50"
    one_by_one: bool = False
    """Whether an event is sent only after the reader has handed on the one before."""
    seen_before: bool = False
    """Whether the run has ended its stream, and the reader has had all of that already."""
    approved_before: bool = False
    """Whether the run was then approved, and has gone on to its end."""
    left_open: bool = False
    """Whether nobody stops the reader at the end, instead of its recipe."""


WHOLE = Situation(
    "nothing goes wrong",
    message="/emit 6 every 400",  # slow enough for pings between its deltas
    one_by_one=True,
)
# One by one, since some readers (Java's) drop what has arrived and is not read yet at a cut.
CUT = Situation("three cuts in mid-event", (BROKEN_AT_ONCE, BROKEN, ENDED_EARLY), one_by_one=True)
PAUSED = Situation("a pause", agent="finance_agent", message="Buy 10 shares of AMZN")
DECIDED = replace(PAUSED, name="a decided pause", seen_before=True, approved_before=True)
NOTHING_LEFT = Situation("nothing follows the last id", seen_before=True)
REFUSED = Situation("a token that is not accepted", (SPOILED,))
REFUSED_LATER = Situation("a token that expires before a cut", (BROKEN, SPOILED), one_by_one=True)

END_LOST = Fault(loses_end=True)
LEFT_OPEN = Situation("left open", left_open=True)
LEFT_OPEN_END_LOST = replace(LEFT_OPEN, name="left open, the end is lost", faults=(END_LOST,))
LEFT_OPEN_CUT = replace(
    LEFT_OPEN, name="left open, a cut in mid-event", faults=(BROKEN,), one_by_one=True
)
LEFT_OPEN_REFUSED = replace(
    LEFT_OPEN,
    name="left open, a token that expires before a cut",
    faults=(BROKEN, *[SPOILED] * AGAIN),
    one_by_one=True,
)
LEFT_OPEN_PAUSED = replace(PAUSED, name="left open at a pause", left_open=True)
LEFT_OPEN_PAUSE_LOST = replace(
    LEFT_OPEN_PAUSED, name="left open at a pause, the end is lost", faults=(END_LOST,)
)

WITH_RECIPE = (WHOLE, CUT, PAUSED, DECIDED, NOTHING_LEFT, REFUSED, REFUSED_LATER)
WITHOUT_RECIPE = (
    LEFT_OPEN,
    LEFT_OPEN_END_LOST,
    LEFT_OPEN_CUT,
    LEFT_OPEN_REFUSED,
    LEFT_OPEN_PAUSED,
    LEFT_OPEN_PAUSE_LOST,
)
