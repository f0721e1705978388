"""What is drawn for each run by its number: its steps, and when its executors are killed."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

STEPS = 3
KINDS = ("act_once", "act_keyed", "look")
SOON_S = 0.9
"""How much of a run's shortest duration may pass before its first kill."""


@dataclass(frozen=True)
class Call:
    """A call of a tool: its step, and how long it takes before and after its effect."""

    tool: str
    arguments: Mapping[str, Any]

    @property
    def command(self) -> str:
        """What the demo model is told to call it."""
        return f"/call {self.tool} {json.dumps(self.arguments)}"

    @property
    def lasts_s(self) -> float:
        return float(self.arguments["before_s"] + self.arguments["after_s"])


@dataclass(frozen=True)
class Plan:
    """One run."""

    number: int
    session_id: str
    steps: Sequence[Sequence[Call]]
    moments_s: Sequence[float]
    """When each executor is killed, from its beginning on."""

    @property
    def is_streamed(self) -> bool:
        return self.number % 2 == 0

    @property
    def message(self) -> str:
        return ", then ".join(" ".join(call.command for call in step) for step in self.steps)

    @property
    def calls(self) -> list[Call]:
        return [call for step in self.steps for call in step]


def plan_of(seed: int, number: int, *, most_kills: int) -> Plan:
    """Draw a run; the same seed and number give the same."""
    chance = random.Random(f"{seed}/{number}")
    steps = [[_call(chance, step)] for step in range(1, STEPS + 1)]
    if chance.random() < 0.3:
        # Two at once: a kill may find one of them done.
        place = chance.randrange(STEPS)
        steps[place].append(_call(chance, place + 1))
    shortest_s = sum(max(call.lasts_s for call in step) for step in steps)
    first = chance.uniform(0, shortest_s * SOON_S)
    # Later executors begin in mid-run, and may be through sooner.
    more = [chance.uniform(0, shortest_s / 2) for _ in range(chance.randint(1, most_kills) - 1)]
    session_id = str(UUID(int=chance.getrandbits(128), version=4))
    return Plan(number, session_id, steps, [first, *more])


def _call(chance: random.Random, step: int) -> Call:
    arguments = {
        "step": step,
        "before_s": round(chance.uniform(0.3, 1), 2),
        "after_s": round(chance.uniform(0.3, 1), 2),
    }
    return Call(chance.choice(KINDS), arguments)
