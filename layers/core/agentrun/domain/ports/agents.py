"""The ports for agents: which agents there are, and what runs them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.events import EngineEvent
from agentrun.domain.turns import AgentTask, TurnEnding


class AgentDirectory(Protocol):
    """Knows which agents there are."""

    def agents(self) -> Sequence[Agent]:
        """Return all agents, inactive ones too, ordered by id."""
        ...

    def agent(self, agent_id: str) -> Agent:
        """
        Return one agent, active or not.

        Raises:
            AgentNotFoundError: No agent has this id.
        """
        ...


class AgentEngine(Protocol):
    """Runs agents."""

    async def run(
        self,
        task: AgentTask,
        *,
        say: Callable[[EngineEvent], None],
        before_tool: Callable[[], None],
    ) -> TurnEnding:
        """
        Run one turn, saying what happens as it happens.

        `say` is called from the event loop. `Metrics` are said whenever the figures have changed
        and stand for the whole turn so far, of a resumed turn for what came after the pause; the
        last ones are said also when the run then fails. No `ToolStart` is said for a call before
        it is approved. Cancelling the task ends the model call.

        Args:
            task: What to do.
            say: Called with each event, in order. What it raises ends the turn.
            before_tool: Called right before each tool begins, in whichever thread it does. What it
                raises ends the turn: the tool does not begin.

        Raises:
            CannotResumeError: The agent has changed since the pause; nothing has been done.
            EngineError: The agent failed, or `say` or `before_tool` raised; what was said stands.
        """
        ...


class ArgumentChecker(Protocol):
    """Knows which arguments the agents' tools take."""

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        """
        Return what is wrong with a call's arguments, as names and reasons.

        If only the tool's own server can check the arguments, there are no faults.
        """
        ...
