"""The one agent of an example."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from agentrun.domain.agents import Agent, AgentTool, Replay
from agentrun.domain.errors import AgentNotFoundError
from agentrun.domain.requests import Budget
from tests.rig import ECHO

TOOLS = tuple(
    AgentTool(name=f"tool-{replay}", description="Has an effect", replay=replay)
    for replay in Replay
)


def an_agent(
    *, attempts: int, tokens: int | None = None, on_budget: Literal["fail", "pause"] = "fail"
) -> Agent:
    """Return the agent, which is executed so often and may use so many tokens."""
    budget = Budget(max_total_tokens=tokens)
    changes = {"max_attempts": attempts, "budget": budget, "on_budget": on_budget, "tools": TOOLS}
    return ECHO.model_copy(update=changes)


def draw_agent(random: Random) -> Agent:
    """Draw how long the agent's runs go on after losses, and what they may spend."""
    return an_agent(
        attempts=random.choice([1, 3, 3, 3]),
        tokens=random.choice([None, None, None, 20, 40]),
        on_budget=random.choice(["fail", "pause", "pause"]),
    )


@dataclass(frozen=True)
class OneAgent:
    """The port `AgentDirectory` with one agent."""

    only: Agent

    def agents(self) -> list[Agent]:
        return [self.only]

    def agent(self, agent_id: str) -> Agent:
        if agent_id != self.only.id:
            raise AgentNotFoundError(agent_id)
        return self.only
