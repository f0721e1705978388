"""What an engine tells an execution, and asks of it, during a turn."""

from agentrun.domain.budgets import spent
from agentrun.domain.errors import BudgetExceededError, HandedOverError
from agentrun.domain.events import EngineEvent
from agentrun.domain.steps import Answered, Step, StepContent
from agentrun.service.executing.bounds import ExecutionBounds
from agentrun.service.executing.recorder import RunRecorder
from agentrun.service.executing.run_events import RunEvents
from agentrun.service.starting.start_run import PendingExecution


class RunHost:
    """The port `TurnHost`: numbers and keeps the steps of one execution."""

    def __init__(
        self,
        pending: PendingExecution,
        events: RunEvents,
        recorder: RunRecorder,
        bounds: ExecutionBounds,
    ) -> None:
        # Taken right away: every fragment of an answer passes here.
        self.say = events.take
        self.steps = pending.progress.steps
        """How many steps the run has had."""
        self._pending = pending
        self._events = events
        self._recorder = recorder
        self._bounds = bounds
        self._counted = 0

    def void_answer(self) -> None:
        """Take back what the model has said since the last step."""
        self._events.void_answer()

    async def keep(self, content: StepContent, *, say: EngineEvent | None = None) -> None:
        """
        Make a step durable, and then publish the event that tells of it.

        Raises:
            HandedOverError: Another executor goes on from this step.
            FencedError: The run is no longer this executor's.
            CancelRequestedError: Somebody has asked for the run's end.
        """
        # Before any of the answer's tools begins; later some may be running.
        hands_over = isinstance(content, Answered) and self._may_hand_over
        if hands_over:
            content = content.model_copy(update={"acting": ()})
        if say is not None:
            self._events.hold(say)
        step = Step(
            number=self.steps + 1,
            event_id=self._events.last_id,
            metrics=self._events.metrics(),
            content=content,
        )
        await self._recorder.keep(step)
        self.steps += 1
        self._events.step_kept(step.event_id)
        if hands_over:
            raise HandedOverError

    async def before_model(self) -> bool:
        """
        Check that a model may be asked; False if the turn has to pause for its budget.

        Raises:
            HandedOverError: Another executor goes on from the last step.
            BudgetExceededError: The run has spent its budget, or its tenant the day's.
        """
        if self._may_hand_over:
            raise HandedOverError
        pending = self._pending
        reached = spent(pending.budget, self._events.metrics())
        if reached is not None:
            if pending.task.agent.on_budget == "pause":
                return False
            raise BudgetExceededError(reached)
        await self._count_tokens()
        return True

    @property
    def uncounted(self) -> int:
        """How many of the execution's tokens are not counted yet for the tenant's day."""
        return self._events.tokens - self._counted

    async def _count_tokens(self) -> None:
        more, slots = self.uncounted, self._pending.ports.slots
        if not more:
            return
        try:
            is_counted = await slots.count(self._pending.slot, tokens=more)
        except BudgetExceededError:
            self._counted += more
            raise
        if is_counted:
            self._counted += more

    @property
    def _may_hand_over(self) -> bool:
        return self._pending.run.max_attempts > 1 and self._bounds.is_time_to_hand_over

    def before_tool(self) -> None:
        """Check that a tool may begin; safe to call in any thread."""
        self._bounds.before_tool()
