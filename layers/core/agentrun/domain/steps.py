"""A run's steps: what it has finished, so that another executor can go on from there."""

from typing import Annotated, Literal

from pydantic import Field

from agentrun.domain.approvals import Decision
from agentrun.domain.events import Metrics
from agentrun.domain.requests import Budget
from agentrun.domain.value import Value


class Answered(Value):
    """
    A model has finished an answer that calls tools.

    `message` is in the engine's own form. `acting` are the ids of those of its calls whose effect
    must not come twice and that may begin as soon as the step is durable.
    """

    kind: Literal["ANSWERED"] = "ANSWERED"
    message: str
    acting: tuple[str, ...] = ()


class Returned(Value):
    """A tool has finished, well or not; `part` is what the model sees, in the engine's own form."""

    kind: Literal["RETURNED"] = "RETURNED"
    call_id: str
    part: str


class Began(Value):
    """
    Calls of an answer that is kept already begin, whose effect must not come twice.

    They had not begun when the run was handed over after that answer.
    """

    kind: Literal["BEGAN"] = "BEGAN"
    acting: tuple[str, ...]


class Continued(Value):
    """
    A pause has been decided, and its continuation has begun; earlier steps are in the checkpoint.

    `acting` are those of the decided calls that may begin at once, as in `Answered`.
    """

    kind: Literal["CONTINUED"] = "CONTINUED"
    decisions: tuple[Decision, ...] = ()
    budget: Budget | None = None
    acting: tuple[str, ...] = ()


StepContent = Annotated[Answered | Returned | Began | Continued, Field(discriminator="kind")]


class Step(Value):
    """
    One step: steps count from 1 in each run, without gaps.

    `event_id` is the last event that stands with it: what later events have said is void if the
    executor is lost before the next step. `metrics` are the run's figures so far, those from before
    a pause included.
    """

    number: int = Field(ge=1)
    event_id: int = Field(ge=1)
    metrics: Metrics = Metrics()
    content: StepContent
