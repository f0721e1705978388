"""The ports for agents: which agents there are, and what runs them."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.turns import AgentTask, EngineOutput


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

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        """
        Run one turn, yielding what happens as it happens.

        `before_tool` is called right before each tool begins, in the tool's thread. If it raises,
        the tool does not begin and the turn ends.

        `Metrics` are yielded whenever the figures have changed. They are those of the whole turn so
        far, or of a resumed turn since its pause. The last ones are yielded even if the run then
        fails. A turn that does not fail yields `TurnEnded` or `TurnPaused`, once, last. No
        `ToolStart` is yielded for a call before it is approved. Closing the generator, or
        cancelling the task that reads it, ends the model call.

        Raises:
            CannotResumeError: The agent has changed since the pause; nothing has been done.
            EngineError: The agent failed, or `before_tool` raised; earlier events stay valid.
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
