"""What an engine is given for one turn of one agent, and what it leaves behind."""

from collections.abc import Sequence

from pydantic import Field

from agentrun.domain.agents import Agent
from agentrun.domain.approvals import Decision
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import EngineEvent, Metrics, PendingApproval
from agentrun.domain.media import LoadedMedia
from agentrun.domain.requests import RunOptions, RunRequest
from agentrun.domain.value import Value


class Resumption(Value):
    """A turn that was paused: where it stopped, in the engine's own form, and what was decided."""

    state: str
    decisions: tuple[Decision, ...]


class AgentTask(Value):
    """
    What an engine is to do: one turn of one agent.

    `history` are the earlier turns of the conversation, the oldest first.
    """

    run_id: str
    session_id: str
    tenant: str
    user_id: str
    agent: Agent
    message: str
    generate_followups: bool = False
    media: tuple[LoadedMedia, ...] = ()
    options: RunOptions = RunOptions()
    history: tuple[PastTurn, ...] = ()
    resumption: Resumption | None = None

    def with_history(self, history: Sequence[PastTurn]) -> "AgentTask":
        """Return the task after these turns of the conversation."""
        return self.model_copy(update={"history": tuple(history)})


class Checkpoint(Value):
    """
    All that is needed to go on with a paused run in another process.

    `state` is in the engine's own form; `output` and `metrics` are what the run has come to. The
    media are what the request's were when it came: a URL may give something else by now.
    """

    request: RunRequest
    state: str
    media: tuple[LoadedMedia, ...] = ()
    output: str = ""
    metrics: Metrics = Metrics()


class TurnEnded(Value):
    """
    The turn is over and answered.

    `messages` are what the conversation's next turns need of it, in the engine's own form, without
    media; None where the question and the answer say it all.
    """

    messages: str | None = None
    followups: tuple[str, ...] | None = None


class TurnPaused(Value):
    """The turn cannot go on before somebody decides; `state` is in the engine's own form."""

    pending: tuple[PendingApproval, ...] = Field(min_length=1)
    state: str


EngineOutput = EngineEvent | TurnEnded | TurnPaused
"""What an engine yields: events as they happen, and how the turn has ended."""
