"""What an engine needs for one turn of an agent, and what it leaves behind."""

from collections.abc import Sequence

from agentrun.domain.agents import Agent
from agentrun.domain.approvals import Decision
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import Metrics, PauseType, PendingApproval
from agentrun.domain.media import LoadedMedia
from agentrun.domain.requests import Budget, RunOptions, RunRequest
from agentrun.domain.steps import Step
from agentrun.domain.value import Value


class Resumption(Value):
    """How to go on with a paused turn: its state, in the engine's own form, and the decisions."""

    state: str
    decisions: tuple[Decision, ...] = ()


class AgentTask(Value):
    """
    One turn of an agent that an engine has to execute.

    `history` are the earlier turns of the conversation, the oldest first. `steps` are what earlier
    executions of the turn have finished since it began, or since the pause that `resumption` is
    of; the engine goes on after them. The tools in `started` have been told as started and have not
    ended: their start is not told again.
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
    steps: tuple[Step, ...] = ()
    started: frozenset[str] = frozenset()

    def with_history(self, history: Sequence[PastTurn]) -> "AgentTask":
        """Return the task after these turns of the conversation."""
        return self.model_copy(update={"history": tuple(history)})

    def after(self, steps: Sequence[Step], *, started: frozenset[str]) -> "AgentTask":
        """Return the task as it goes on after these steps, while these tools have started."""
        return self.model_copy(update={"steps": tuple(steps), "started": started})


class Checkpoint(Value):
    """
    Everything that another process needs to continue a paused run.

    `state` is in the engine's own form; `output` and `metrics` are those of the run so far. `steps`
    and `resets` count what the run has had of them; `budget` is a raised one. `media` are there in
    runs of an earlier version only: since then they are kept beside the run from its start.
    """

    request: RunRequest
    state: str
    media: tuple[LoadedMedia, ...] = ()
    output: str = ""
    metrics: Metrics = Metrics()
    steps: int = 0
    resets: int = 0
    budget: Budget | None = None


class TurnEnded(Value):
    """
    The turn has ended with an answer.

    `messages` are what the conversation's next turns need of it, in the engine's own form, without
    media; None if the question and the answer are enough.
    """

    messages: str | None = None
    followups: tuple[str, ...] | None = None


class TurnPaused(Value):
    """The turn waits for decisions; `state` is in the engine's own form."""

    type: PauseType = PauseType.TOOL_APPROVAL
    pending: tuple[PendingApproval, ...] = ()
    state: str


TurnEnding = TurnEnded | TurnPaused
"""How a turn ends that does not fail."""
