"""Take over a run that has lost its executor, or was handed over: go on from its last step."""

from dataclasses import dataclass
from datetime import timedelta

from agentrun.domain.agents import Agent
from agentrun.domain.errors import (
    AgentNotFoundError,
    BrokenAgentError,
    EngineError,
)
from agentrun.domain.events import EventType, Metrics, RecordedEvent, ResetReason
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import AgentTask
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import LEASE_DURATION, AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.steps import Continued, Step
from agentrun.domain.turns import Checkpoint, Resumption
from agentrun.service.ports import RunPorts, every, in_thread, retried
from agentrun.service.reading.replay import without_lost
from agentrun.service.reading.result import RunResultBuilder
from agentrun.service.starting.media import load_kept
from agentrun.service.starting.slots import slot_of
from agentrun.service.starting.start_run import LaunchPorts, PendingExecution, Progress, task_of

READ_PATIENCE = timedelta(seconds=10)
"""How long to try to read what a run has come to; its new lease lasts a little longer."""
READ_AGAIN_AFTER_S = 0.25
_OF_EXECUTIONS = {EventType.START, EventType.STEP_RESET}


@dataclass(frozen=True)
class Record:
    """
    What is stored of a run that another executor goes on with; `events` begin with START.

    `broken` is why nobody can go on with it.
    """

    request: RunRequest
    media: tuple[LoadedMedia, ...] = ()
    checkpoint: Checkpoint | None = None
    steps: tuple[Step, ...] = ()
    broken: EngineError | None = None
    events: tuple[RecordedEvent, ...] = ()

    @property
    def last_step(self) -> Step | None:
        """The last step since the run, or its continuation, began."""
        return self.steps[-1] if self.steps else None

    @property
    def stands_up_to(self) -> int:
        """The id of the last event that stands."""
        return self.last_step.event_id if self.last_step else 1

    @property
    def continued(self) -> Continued | None:
        """How the run's last pause was decided, if it had one."""
        first = self.steps[0].content if self.steps else None
        return first if isinstance(first, Continued) else None


async def take_over(
    seen: AgentRun, *, ports: LaunchPorts, executor: str | None = None
) -> PendingExecution:
    """
    Take a run whose lease has lapsed; from here on this process has to execute it.

    The run is taken before anything else of it is read: its former executor can write no step any
    more.

    Args:
        seen: The run as it is; `can_go_on` says that it may be taken.
        ports: Which agents there are, and where runs are kept.
        executor: A name of this execution; by default a fresh one.

    Returns:
        What to execute. If the agent is gone or broken, all that is left is to end the run.

    Raises:
        FencedError: Somebody else has changed the run, or it is gone; do not retry.
        StoreUnavailableError: The run was not taken, or cannot be read; it has another attempt
            less, and its lease lapses again.
    """
    runs, now = ports.runs, ports.runs.clock.now()
    lease = Lease(executor=executor or ports.new_id(), until=now + LEASE_DURATION)
    taken = await in_thread(runs.threads, runs.journal.take_over, seen, lease, at=now)
    pauses = every(READ_AGAIN_AFTER_S, for_s=READ_PATIENCE.total_seconds())
    record = await retried(lambda: in_thread(runs.threads, read_record, taken, ports), pauses)
    agent, broken = _agent_of(taken, ports)
    return PendingExecution(
        run=taken,
        task=_task(taken, agent, record),
        request=record.request,
        slot=slot_of(taken),
        ports=ports,
        progress=progress_of(taken, record, was_handed_over=seen.is_handed_over),
        broken=broken or record.broken,
    )


def read_record(run: AgentRun, ports: LaunchPorts) -> Record:
    """
    Read what a run that was taken has come to; it blocks.

    Raises:
        StoreUnavailableError: Retrying is safe.
    """
    runs = ports.runs
    request = runs.journal.request(run.key)
    media = load_kept(run, ports.objects)
    if run.status is RunStatus.QUEUED:
        return Record(request, media)
    checkpoint = runs.store.checkpoint(run.key) if run.required_action is not None else None
    steps, broken = tuple[Step, ...](), None
    try:
        steps = tuple(runs.journal.steps(run.key))
    except EngineError as error:
        broken = error
    return Record(
        request=request,
        media=media or (checkpoint.media if checkpoint else ()),
        checkpoint=checkpoint,
        steps=steps,
        broken=broken,
        events=tuple(without_lost(run, _read_log(run.key, runs))),
    )


def _read_log(key: RunKey, ports: RunPorts) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    while found := ports.log.read(key, after=events[-1].id if events else 0, at=ports.clock.now()):
        events += found
    return events


def progress_of(run: AgentRun, record: Record, *, was_handed_over: bool) -> Progress:
    """
    Return how far a run has come that was taken over.

    What its events after the last step have said is void, after its first START if it has no step.
    """
    if run.status is RunStatus.QUEUED:
        return Progress()
    step = record.last_step
    return Progress(
        start_id=run.last_event_id,
        output=_standing(record).content,
        used=_used(run, step),
        stands_up_to=record.stands_up_to,
        steps=step.number if step else 0,
        resets=sum(event.event.event is EventType.STEP_RESET for event in record.events),
        reset=_reset(record) if was_handed_over else ResetReason.EXECUTOR_LOST,
        budget=record.continued.budget if record.continued else None,
    )


def _used(run: AgentRun, step: Step | None) -> Metrics | None:
    """
    Return what a run has used by its last step, or by its last hand-over if that came later.

    Figures only grow; what an executor has used since that was lost, nobody can tell.
    """
    known = [figures for figures in (run.used, step and step.metrics) if figures]
    return max(known, key=_size, default=None)


def _size(figures: Metrics) -> tuple[int, int, int]:
    return figures.llm_calls or 0, figures.total_tokens or 0, figures.duration_ms or 0


def _reset(record: Record) -> ResetReason | None:
    """Return why the next step is made again; None if it was not begun."""
    begun = any(
        event.id > record.stands_up_to and event.event.event not in _OF_EXECUTIONS
        for event in record.events
    )
    return ResetReason.HANDED_OVER if begun else None


def _standing(record: Record) -> RunResultBuilder:
    """Sum up the events that stand."""
    said = RunResultBuilder()
    for event in record.events:
        if event.id <= record.stands_up_to:
            said.add(event)
    return said


def _task(run: AgentRun, agent: Agent, record: Record) -> AgentTask:
    resumption = None
    if record.checkpoint is not None:
        decisions = record.continued.decisions if record.continued else ()
        resumption = Resumption(state=record.checkpoint.state, decisions=decisions)
    task = task_of(run, agent, record.request, record.media, resumption)
    return task.after(record.steps, started=_standing(record).unfinished)


def _agent_of(run: AgentRun, ports: LaunchPorts) -> tuple[Agent, EngineError | None]:
    """Return the run's agent, or one in name only and why the run cannot go on."""
    try:
        agent = ports.agents.agent(run.agent_id)
        agent.check_not_broken()
    except (AgentNotFoundError, BrokenAgentError) as error:
        nobody = Agent(
            id=run.agent_id, name=run.agent_id, description="", model=run.model or "", models=()
        )
        return nobody, EngineError(str(error))
    return agent, None
