"""The ports for agents: which agents there are, and what runs them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.events import EngineEvent
from agentrun.domain.steps import StepContent
from agentrun.domain.turns import AgentTask, TurnEnding

CANCEL_REQUESTED = "cancel requested"
"""With this message the task of an engine is cancelled if somebody has asked for the run's end."""


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


class TurnHost(Protocol):
    """
    The execution for which an engine runs a turn: told what happens, asked what may happen.

    What its methods raise ends the turn. All but `before_tool` are called from the event loop.
    """

    def say(self, event: EngineEvent) -> None:
        """Take the next event."""
        ...

    def void_answer(self) -> None:
        """Take back what the model has said since the last step: it is asked again."""
        ...

    async def keep(self, content: StepContent, *, say: EngineEvent | None = None) -> None:
        """
        Make a step durable, and then take the event that tells of it.

        Raises:
            HandedOverError: Another executor goes on from this step.
            CancelRequestedError: Somebody has asked for the run's end; the step is durable.
            AgentrunError: The turn has to end.
        """
        ...

    async def before_model(self) -> bool:
        """
        Ask whether a model may be asked, by the last `Metrics` that were said.

        Returns:
            False if the turn has to pause: its budget is spent.

        Raises:
            HandedOverError: Another executor goes on from the last step.
            EngineError: The run's budget, or its tenant's, is spent.
        """
        ...

    def before_tool(self) -> None:
        """
        Ask, right before a tool begins and in the thread in which it does, whether it may.

        Raises:
            MayNotActError: It may not.
        """
        ...


class AgentEngine(Protocol):
    """Runs agents."""

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        """
        Run one turn, saying what happens as it happens.

        `Metrics` are said whenever the figures have changed, before each step, and stand for the
        whole turn so far: of a resumed turn for what came after the pause, of a turn with steps
        for what came after the last of them. The last ones are said also when the run then fails.
        No `ToolStart` is said for a call before it is approved.

        An answer that calls tools is kept as a step before any of them begins, each tool's result
        before the model is asked again. The last answer is no step. A turn that goes on with calls
        whose effect must not come twice, and which no step says to be `acting`, keeps a `Began`
        before they begin. Cancelling the task ends the model call; with the message
        `CANCEL_REQUESTED`, also what goes on elsewhere for this run alone.

        Args:
            task: What to do.
            host: Whom to tell and to ask.

        Returns:
            How the turn has ended, or what it waits for. That is a doubt where a step says that
            calls were `acting`, no later step has their results, and there are no decisions.

        Raises:
            CannotResumeError: The agent has changed since the pause; nothing has been done.
            EngineError: The agent failed, or the host raised; what was said stands.
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


class PriceList(Protocol):
    """Knows what models cost."""

    def knows(self, model_id: str) -> bool:
        """
        Tell whether the cost of the model's answers is known; that of some is nothing.

        May block for a third of a second, and knows nothing that changes while a process lives.
        """
        ...
