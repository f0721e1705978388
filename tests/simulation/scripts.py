"""Random scripts: what the agent of a simulated run does."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from agentrun.domain.agents import Replay


@dataclass(frozen=True)
class Say:
    """A fragment of the answer."""

    text: str


@dataclass(frozen=True)
class Wait:
    """Silence."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A tool call that needs no approval and takes a while; `replay` is its tool's."""

    call: str
    seconds: float
    replay: Replay = Replay.NEVER


@dataclass(frozen=True)
class Ask:
    """A tool call that needs approval and pauses the run; a continuation plays the rest."""

    call: str
    seconds: float
    replay: Replay = Replay.NEVER


@dataclass(frozen=True)
class Break:
    """The model breaks off, once in each execution: what it said since the last step is void."""


@dataclass(frozen=True)
class Fail:
    """The end of a run whose agent fails, foreseen or not."""

    is_foreseen: bool


Step = Say | Wait | Call | Ask | Break | Fail
TOKENS_A_STEP = 10
"""How many tokens each answer of a model uses."""


def draw_script(random: Random, name: str, *, asks: int = 2) -> tuple[Step, ...]:
    """Draw what a message's run does; all texts and calls have unique names."""
    steps: list[Step] = []
    for number in range(random.randint(1, 8)):
        kinds = ["say", "wait", "act", "ask", "long", "break"]
        kind = random.choices(kinds, [5, 3, 5, asks, 1, 0.5])[0]
        replay = random.choice([Replay.NEVER, Replay.NEVER, Replay.IDEMPOTENT, Replay.SAFE])
        match kind:
            case "say":
                steps.append(Say(f"{name}.{number} "))
            case "wait":
                steps.append(Wait(random.uniform(0, 3)))
            case "long":
                steps.append(Wait(random.uniform(5, 25)))
            case "act":
                steps.append(Call(f"{name}.call{number}", random.uniform(0, 3), replay))
            case "break":
                steps.append(Break())
            case _:
                steps.append(Ask(f"{name}.ask{number}", random.uniform(0, 2), replay))
    if random.random() < 0.1:
        steps.append(Fail(is_foreseen=random.random() < 0.5))
    return tuple(steps)


def whole_text(script: Sequence[Step]) -> str:
    """Return the answer of a run that has played its whole script."""
    return "".join(step.text for step in script if isinstance(step, Say))


def replay_of(script: Sequence[Step], call: str) -> Replay:
    """Return what may become of a call whose executor is lost."""
    return next(
        step.replay for step in script if isinstance(step, Call | Ask) and step.call == call
    )
