"""What waits for a decision, who sees it, and what has become of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import (
    ApprovalNotFoundError,
    EngineError,
    ForbiddenError,
    InvalidRequestError,
    StoreUnavailableError,
)
from agentrun.domain.events import (
    Cancelled,
    ContentDelta,
    Error,
    Metrics,
    Paused,
    PauseType,
    PendingApproval,
    RecordedEvent,
    RunEvent,
    Start,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.lists.run_lists import Approval, ApprovalStatus
from agentrun.domain.principal import Principal
from agentrun.domain.requests import Budget
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.domain.steps import Answered, Continued, Returned, Step
from agentrun.domain.value import epoch_ms
from agentrun.service.ports import RunPorts
from agentrun.service.reading.approvals import get_approval, pending_approvals
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_journal import InMemoryRunJournal
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.fakes.in_memory_run_list import InMemoryRunList
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, EXECUTOR, a_run

READ = frozenset({"runs:read"})
ANA = Principal(tenant="acme", user_id="ana", scopes=READ)
BOB = Principal(tenant="acme", user_id="bob", scopes=READ)
ROOT = Principal(tenant="acme", user_id="root", roles=frozenset({"admin"}))
STRANGER = Principal(tenant="umbrella", user_id="ana", roles=frozenset({"admin"}))
UNTIL = AT + timedelta(days=1)
START = Start(run_id="run-1", session_id="s", agent_id="echo")
METRICS = Metrics(total_tokens=7)
STOP = Stop(run_id="run-1")


def a_pause(run_id: str, event_id: int, type_: PauseType = PauseType.TOOL_APPROVAL) -> Paused:
    calls = ("c1", "c2") if type_ is not PauseType.BUDGET else ()
    return Paused(
        type=type_,
        approval_id=f"{run_id}.{event_id}",
        approvals=tuple(
            PendingApproval(id=call, tool="t", tool_name="place_order", arguments={"n": None})
            for call in calls
        ),
    )


class Rig:
    """Runs in memory that were paused, one a second."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.store = InMemoryRunStore(InMemoryEventLog())
        self.runs = InMemoryRunList(self.store)
        self.clock = FixedClock(AT + timedelta(minutes=1))
        self.journal = InMemoryRunJournal(self.store)
        self.ports = RunPorts(
            self.store, self.store.log, self.journal, InMemoryRunQueue(), threads, self.clock
        )

    def paused(self, number: int, paused: Paused | None = None, **changes: object) -> AgentRun:
        """Store a run of this number, paused by its fifth event as many seconds after the first."""
        at = AT + timedelta(seconds=number)
        run = a_run(f"run-{number}", created_at=AT - timedelta(seconds=number))
        fields = {
            "status": RunStatus.PAUSED,
            "required_action": paused or a_pause(run.id, 5),
            "updated_at": at,
            "paused_until": UNTIL,
            "lease": Lease(executor=EXECUTOR, until=UNTIL),
            "last_event_id": 5,
        }
        run = run.model_copy(update=fields | changes)
        assert run.required_action is not None
        self.store.runs[run.key] = run
        self.say(run, 5, run.required_action, at_s=number)
        return run

    def say(self, run: AgentRun, first_id: int, *events: RunEvent, at_s: float = 30) -> None:
        at = AT + timedelta(seconds=at_s)
        recorded = [
            RecordedEvent(id=number, timestamp_ms=epoch_ms(at), event=event)
            for number, event in enumerate(events, first_id)
        ]
        self.store.log.append(run.key, recorded, at=at)

    def continued(self, run: AgentRun, *events: RunEvent, **changes: object) -> None:
        """Let a run go on after its fifth event, as far as these events."""
        self.say(run, 6, START, *events)
        fields = {"status": RunStatus.RUNNING, "last_event_id": 6 + len(events)}
        self.store.runs[run.key] = run.model_copy(update=fields | changes)

    def get(self, run: AgentRun, principal: Principal = ANA, event_id: int = 5) -> Approval:
        return get_approval(principal, f"{run.id}.{event_id}", ports=self.ports)

    def status(self, run: AgentRun, event_id: int = 5) -> ApprovalStatus:
        return self.get(run, event_id=event_id).status

    def pending(self, principal: Principal = ANA, size: int = 20) -> list[str]:
        """Walk through all pages."""
        found: list[str] = []
        cursor = None
        while True:
            page = pending_approvals(
                principal, size=size, cursor=cursor, runs=self.runs, ports=self.ports
            )
            assert len(page.approvals) <= size
            found += [approval.run_id for approval in page.approvals]
            cursor = page.next_cursor
            if cursor is None:
                return found


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ThreadPoolExecutor(2) as threads:
        yield Rig(threads)


def test_what_waits_is_listed_the_oldest_pause_first(rig: Rig) -> None:
    for number, user in enumerate(("ana", "bob", "ana", "ana"), 1):
        rig.paused(number, user_id=user)
    assert rig.pending() == rig.pending(size=1) == ["run-1", "run-3", "run-4"]
    assert rig.pending(BOB) == ["run-2"]
    assert rig.pending(ROOT) == rig.pending(ROOT, size=2) == ["run-1", "run-2", "run-3", "run-4"]
    assert rig.pending(STRANGER) == []


def test_an_approval_says_what_for_and_until_when(rig: Rig) -> None:
    run = rig.paused(1)
    (listed,) = pending_approvals(
        ANA, size=1, cursor=None, runs=rig.runs, ports=rig.ports
    ).approvals
    assert run.required_action is not None
    assert (
        listed
        == rig.get(run)
        == Approval(
            approval_id="run-1.5",
            run_id="run-1",
            agent_id="echo",
            session_id=run.session_id,
            type=PauseType.TOOL_APPROVAL,
            approvals=run.required_action.approvals,
            created_at=AT + timedelta(seconds=1),
            expires_at=UNTIL,
            status=ApprovalStatus.PENDING,
        )
    )


def test_pages_of_what_waits_skip_nothing_when_others_are_decided(rig: Rig) -> None:
    runs = [rig.paused(number) for number in range(1, 6)]
    first = pending_approvals(ANA, size=2, cursor=None, runs=rig.runs, ports=rig.ports)
    rig.continued(runs[0])
    rig.continued(runs[1])
    rest = pending_approvals(ANA, size=5, cursor=first.next_cursor, runs=rig.runs, ports=rig.ports)
    assert [approval.run_id for approval in rest.approvals] == ["run-3", "run-4", "run-5"]


def test_a_cursor_of_another_list_is_refused(rig: Rig) -> None:
    for number in (1, 2):
        rig.paused(number)
    page = pending_approvals(ANA, size=1, cursor=None, runs=rig.runs, ports=rig.ports)
    with pytest.raises(InvalidRequestError, match="these approvals"):
        pending_approvals(ROOT, size=1, cursor=page.next_cursor, runs=rig.runs, ports=rig.ports)


def test_what_nobody_has_decided_in_time_waits_no_more(rig: Rig) -> None:
    run = rig.paused(1)
    rig.clock.advance(timedelta(days=2).total_seconds())
    assert rig.pending() == []
    assert rig.status(run) is ApprovalStatus.EXPIRED
    # Long after its events are gone, too.
    rig.clock.advance(timedelta(days=30).total_seconds())
    assert rig.status(run) is ApprovalStatus.EXPIRED


def test_a_pause_that_was_cancelled_is_over(rig: Rig) -> None:
    run = rig.paused(1)
    rig.store.request_cancel(run.key, at=rig.clock.now())
    assert rig.pending() == []
    assert rig.status(run) is ApprovalStatus.EXPIRED


def test_others_approvals_look_like_missing_ones(rig: Rig) -> None:
    run = rig.paused(1)
    for principal in (BOB, STRANGER):
        with pytest.raises(ApprovalNotFoundError):
            rig.get(run, principal)
    assert rig.get(run, ROOT).run_id == run.id
    for event_id in (4, 6):
        with pytest.raises(ApprovalNotFoundError):
            rig.get(run, event_id=event_id)
    with pytest.raises(ApprovalNotFoundError):
        get_approval(ANA, "nothing", ports=rig.ports)
    with pytest.raises(ForbiddenError):
        get_approval(Principal(tenant="acme", user_id="ana"), "run-1.5", ports=rig.ports)


def started(call: str) -> ToolStart:
    return ToolStart(id=call, name="t", arguments={})


def ended(call: str) -> ToolEnd:
    return ToolEnd(id=call, name="t", result=1)


def broke(call: str) -> ToolError:
    return ToolError(id=call, name="t", error="Rejected.")


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([started("c1")], ApprovalStatus.APPROVED),
        ([broke("c2"), started("c1"), ended("c1"), METRICS, STOP], ApprovalStatus.APPROVED),
        ([started("c1"), broke("c1"), broke("c2"), METRICS, STOP], ApprovalStatus.APPROVED),
        ([broke("c1"), broke("c2"), ContentDelta(text="ok")], ApprovalStatus.REJECTED),
        ([broke("c1"), broke("c2"), started("c3"), ended("c3")], ApprovalStatus.REJECTED),
    ],
)
def test_calls_that_have_begun_were_approved(
    rig: Rig, events: list[RunEvent], status: ApprovalStatus
) -> None:
    run = rig.paused(1)
    rig.continued(run, *events)
    assert rig.status(run) is status
    assert rig.pending() == []


def test_a_continuation_that_has_not_begun_may_yet_be_undone(rig: Rig) -> None:
    run = rig.paused(1)
    lease = Lease(executor="executor-2", until=rig.clock.now() + timedelta(seconds=15))
    changes = {"status": RunStatus.RUNNING, "lease": lease}
    rig.store.runs[run.key] = run.model_copy(update=changes)
    assert rig.status(run) is ApprovalStatus.PENDING


def test_an_earlier_pause_of_a_run_is_known_by_its_events(rig: Rig) -> None:
    run = rig.paused(1)
    again = a_pause(run.id, 9)
    rig.continued(
        run,
        broke("c1"),
        broke("c2"),
        again,
        started("c1"),
        status=RunStatus.PAUSED,
        required_action=again,
    )
    earlier = rig.get(run)
    assert (earlier.status, earlier.expires_at) == (ApprovalStatus.REJECTED, None)
    assert rig.status(run, event_id=9) is ApprovalStatus.PENDING


@pytest.mark.parametrize(
    ("events", "error_type", "status"),
    [
        ([METRICS, Error(message="spent")], "BUDGET_EXCEEDED", ApprovalStatus.REJECTED),
        ([METRICS, Error(message="broken")], "MODEL_ERROR", ApprovalStatus.APPROVED),
        (
            [ContentDelta(text="on"), METRICS, Error(message="spent")],
            "BUDGET_EXCEEDED",
            ApprovalStatus.APPROVED,
        ),
        ([METRICS, Cancelled(reason="asked")], None, ApprovalStatus.APPROVED),
    ],
)
def test_a_budget_that_is_rejected_ends_the_run(
    rig: Rig, events: list[RunEvent], error_type: str | None, status: ApprovalStatus
) -> None:
    run = rig.paused(1, a_pause("run-1", 5, PauseType.BUDGET))
    ends = {"status": RunStatus.FAILED, "lease": None, "error_type": error_type}
    rig.continued(run, *events, **ends)
    assert rig.status(run) is status
    assert rig.get(run).approvals == ()


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        (["APPROVE", "REJECT"], ApprovalStatus.APPROVED),
        (["REJECT", "REJECT"], ApprovalStatus.REJECTED),
    ],
)
def test_of_tools_in_doubt_the_decision_is_what_counts(
    rig: Rig, actions: list[str], status: ApprovalStatus
) -> None:
    """A tool that runs again may fail again, and then looks as if it had been rejected."""
    run = rig.paused(1, a_pause("run-1", 5, PauseType.TOOL_IN_DOUBT))
    decisions = tuple(
        Decision(id=call, action=ApprovalAction(action))
        for call, action in zip(("c1", "c2"), actions, strict=True)
    )
    rig.store.steps[run.key] = [
        Step(number=1, event_id=3, content=Answered(message="m")),
        Step(number=2, event_id=6, content=Continued(decisions=decisions)),
        Step(number=3, event_id=7, content=Returned(call_id="c1", part="p")),
    ]
    rig.continued(run, broke("c1"), broke("c2"))
    assert rig.status(run) is status
    for error in (StoreUnavailableError("away"), EngineError("expired")):
        rig.journal.fails("steps", error=error)
        assert rig.status(run) is ApprovalStatus.REJECTED


def test_a_budget_that_was_given_is_a_step(rig: Rig) -> None:
    run = rig.paused(1, a_pause("run-1", 5, PauseType.BUDGET))
    ends = {"status": RunStatus.FAILED, "lease": None, "error_type": "BUDGET_EXCEEDED"}
    rig.continued(run, METRICS, Error(message="spent"), **ends)
    assert rig.status(run) is ApprovalStatus.REJECTED
    given = Continued(budget=Budget(max_total_tokens=9))
    rig.store.steps[run.key] = [Step(number=1, event_id=6, content=given)]
    assert rig.status(run) is ApprovalStatus.APPROVED


def test_what_a_zombie_has_stored_is_no_pause(rig: Rig) -> None:
    run = rig.paused(1)
    rig.say(run, 8, a_pause(run.id, 8))
    rig.store.runs[run.key] = run.model_copy(update={"lost_after": (6,)})
    with pytest.raises(ApprovalNotFoundError):
        rig.get(run, event_id=8)


def test_a_larger_budget_that_is_spent_at_once_was_given(rig: Rig) -> None:
    run = rig.paused(1, a_pause("run-1", 5, PauseType.BUDGET))
    again = a_pause(run.id, 8, PauseType.BUDGET)
    ends: list[RunEvent] = [START, METRICS, Error(message="spent")]
    changes = {"status": RunStatus.FAILED, "error_type": "BUDGET_EXCEEDED", "lease": None}
    rig.continued(run, METRICS, again, *ends, required_action=again, **changes)
    assert rig.status(run) is ApprovalStatus.APPROVED
    assert rig.status(run, event_id=8) is ApprovalStatus.REJECTED


def test_what_a_decided_approval_came_to_is_known_as_long_as_events_are_kept(rig: Rig) -> None:
    run = rig.paused(1)
    rig.continued(run, started("c1"), METRICS, STOP, status=RunStatus.COMPLETED, lease=None)
    assert rig.status(run) is ApprovalStatus.APPROVED
    rig.clock.advance(timedelta(days=30).total_seconds())
    with pytest.raises(ApprovalNotFoundError):
        rig.get(run)
