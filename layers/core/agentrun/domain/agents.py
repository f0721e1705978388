"""An agent as its callers see it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field

from agentrun.domain.errors import AgentNotFoundError, BrokenAgentError
from agentrun.domain.requests import Budget
from agentrun.domain.value import Value


class Replay(StrEnum):
    """What becomes of a tool's call that may have run when its executor was lost."""

    SAFE = "safe"
    """It has no effect and runs again."""
    IDEMPOTENT = "idempotent"
    """It runs again with the same call id, by which it knows that it has run."""
    NEVER = "never"
    """Its effect must not come twice: a human decides."""


class AgentTool(Value):
    """A tool that an agent may call."""

    name: str
    description: str
    requires_approval: bool = False
    replay: Replay = Field(default=Replay.NEVER, exclude=True)


class Agent(Value):
    """
    What an agent is and takes; only the engine knows how it is run.

    `model` is the default, `models` are those a request may choose, `media` the MIME types that it
    accepts. `custom_system_prompt` says whether a request may replace its instructions.
    `required_scope` is what a caller's token needs beside the right to run agents. `fault` says for
    the log why the definition is broken.

    `max_attempts` is how often a run is executed whose executors are lost; 1 means never again.
    `max_duration_s` is how long it may be executed, all executions together. `budget` is what each
    run may spend, and `on_budget` what becomes of one that would spend more.
    """

    id: str
    name: str
    description: str
    model: str
    models: tuple[str, ...]
    active: bool = True
    tools: tuple[AgentTool, ...] = ()
    media: tuple[str, ...] = ()
    custom_system_prompt: bool = False
    required_scope: str | None = None
    max_attempts: int = Field(default=3, exclude=True)
    max_duration_s: float = Field(default=900, exclude=True)
    budget: Budget = Field(default=Budget(), exclude=True)
    on_budget: Literal["fail", "pause"] = Field(default="fail", exclude=True)
    fault: str | None = None

    def check_can_run(self) -> None:
        """
        Check that callers may run the agent.

        Raises:
            BrokenAgentError: Its definition is broken.
            AgentNotFoundError: It is inactive; to callers it looks missing.
        """
        self.check_not_broken()
        if not self.active:
            raise AgentNotFoundError(self.id)

    def check_not_broken(self) -> None:
        """Raise BrokenAgentError if the definition is broken."""
        if self.fault is not None:
            raise BrokenAgentError(self.id, self.fault)


def listed(agents: Sequence[Agent], *, include_inactive: bool) -> list[Agent]:
    """Return the agents that callers are shown: inactive ones only if they ask for them."""
    return [agent for agent in agents if agent.active or include_inactive]
