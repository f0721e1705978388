"""Who sees which runs in a list, in which order, and page by page."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from agentrun.domain.errors import ForbiddenError, InvalidRequestError
from agentrun.domain.lists.run_lists import RunFilter, RunPage
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.service.ports import RunPorts
from agentrun.service.reading import run_list
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_journal import InMemoryRunJournal
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.fakes.in_memory_run_list import InMemoryRunList
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, EXECUTOR, a_run

READ = frozenset({"runs:read"})
ANA = Principal(tenant="acme", user_id="ana", scopes=READ)
ROOT = Principal(tenant="acme", user_id="root", roles=frozenset({"admin"}))
ENDED = {"status": RunStatus.COMPLETED, "lease": None}


class Rig:
    """Runs in memory, one a second."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.store = InMemoryRunStore(InMemoryEventLog())
        self.runs = InMemoryRunList(self.store)
        self.clock = FixedClock(AT + timedelta(seconds=5))
        journal, queue = InMemoryRunJournal(self.store), InMemoryRunQueue()
        self.ports = RunPorts(self.store, self.store.log, journal, queue, threads, self.clock)

    def have(self, number: int, **changes: Any) -> AgentRun:
        """Store a run of this number; its executor is alive unless it has ended."""
        lease = Lease(executor=EXECUTOR, until=AT + timedelta(hours=1))
        fields = {"created_at": AT + timedelta(seconds=number), "lease": lease} | changes
        run = a_run(f"run-{number}", **fields)
        self.store.runs[run.key] = run
        return run

    def page(
        self,
        principal: Principal = ANA,
        *,
        user_id: str | None = None,
        size: int = 20,
        cursor: str | None = None,
        **wanted: Any,
    ) -> RunPage:
        return run_list.list_runs(
            principal,
            user_id=user_id,
            wanted=RunFilter(**wanted),
            size=size,
            cursor=cursor,
            runs=self.runs,
            ports=self.ports,
        )

    def numbers(self, principal: Principal = ANA, **asked: Any) -> list[int]:
        """Walk through all pages."""
        found: list[int] = []
        cursor = None
        while True:
            page = self.page(principal, cursor=cursor, **asked)
            found += numbers_of(page)
            cursor = page.next_cursor
            if cursor is None:
                return found


def numbers_of(page: RunPage) -> list[int]:
    return [int(run.id.removeprefix("run-")) for run in page.runs]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ThreadPoolExecutor(2) as threads:
        yield Rig(threads)


def test_callers_see_their_own_runs_the_newest_first(rig: Rig) -> None:
    for number in range(1, 6):
        rig.have(number, **(ENDED if number % 2 else {}))
    rig.have(6, user_id="bob")
    rig.have(7, org_id="umbrella")
    assert rig.numbers() == [5, 4, 3, 2, 1]
    with pytest.raises(ForbiddenError):
        rig.page(user_id="bob")
    assert rig.numbers(user_id="ana") == [5, 4, 3, 2, 1]


def test_an_admin_sees_what_is_under_way_and_their_own(rig: Rig) -> None:
    rig.have(1, **ENDED)
    rig.have(2, user_id="bob")
    rig.have(3, user_id="root", **ENDED)
    rig.have(4, status=RunStatus.QUEUED)
    rig.have(5, user_id="root")
    rig.have(6, status=RunStatus.PAUSED, user_id="bob")
    rig.have(7, org_id="umbrella")
    assert rig.numbers(ROOT, size=1) == rig.numbers(ROOT) == [6, 5, 4, 3, 2]
    assert rig.numbers(ROOT, user_id="ana") == [4, 1]
    assert rig.numbers(ROOT, status=RunStatus.RUNNING) == [5, 2]
    assert rig.numbers(ROOT, status=RunStatus.COMPLETED) == [3]
    assert rig.numbers(ROOT, user_id="ana", status=RunStatus.COMPLETED) == [1]


def test_only_those_that_are_wanted_are_listed(rig: Rig) -> None:
    rig.have(1, agent_id="clerk")
    rig.have(2, session_id="s-2", **ENDED)
    rig.have(3, session_id="s-2", agent_id="clerk", **ENDED)
    rig.have(4, session_id="s-2", user_id="bob")
    assert rig.numbers(agent_id="clerk") == [3, 1]
    assert rig.numbers(session_id="s-2") == [3, 2]
    assert rig.numbers(session_id="s-2", agent_id="clerk") == [3]
    assert rig.numbers(status=RunStatus.COMPLETED) == [3, 2]
    assert rig.numbers(status=RunStatus.RUNNING) == [1]
    assert rig.numbers(ROOT, session_id="s-2") == [4]
    assert rig.numbers(ROOT, user_id="ana", session_id="s-2") == [3, 2]


@pytest.mark.parametrize("principal", [ANA, ROOT])
def test_pages_neither_skip_nor_repeat_when_new_runs_begin(rig: Rig, principal: Principal) -> None:
    for number in range(1, 8):
        rig.have(number)
    first = rig.page(principal, size=3)
    rig.have(8)
    second = rig.page(principal, size=3, cursor=first.next_cursor)
    rig.have(9)
    third = rig.page(principal, size=3, cursor=second.next_cursor)
    assert [numbers_of(page) for page in (first, second, third)] == [[7, 6, 5], [4, 3, 2], [1]]
    assert third.next_cursor is None


def test_a_page_that_ends_the_list_has_no_cursor(rig: Rig) -> None:
    for number in range(1, 4):
        rig.have(number)
    assert rig.page(size=3).next_cursor is None
    assert rig.page(size=2).next_cursor is not None
    assert rig.page(agent_id="nobody").next_cursor is None


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "a" * 300])
def test_a_cursor_that_was_never_given_out_is_refused(rig: Rig, cursor: str) -> None:
    with pytest.raises(InvalidRequestError, match="given out for these runs"):
        rig.page(cursor=cursor)


def test_a_cursor_is_of_one_list(rig: Rig) -> None:
    for number in range(1, 4):
        rig.have(number)
    cursor = rig.page(size=1).next_cursor
    with pytest.raises(InvalidRequestError):
        rig.page(ROOT, cursor=cursor)
    assert numbers_of(rig.page(ROOT, user_id="ana", cursor=cursor)) == [2, 1]


def test_a_run_that_nobody_executes_any_more_is_listed_as_ended(rig: Rig) -> None:
    rig.have(1, lease=Lease(executor=EXECUTOR, until=AT - timedelta(minutes=1)))
    rig.have(2)
    assert rig.numbers(status=RunStatus.RUNNING) == [2]
    (ended,) = rig.page(status=RunStatus.FAILED).runs
    assert (ended.id, ended.error_type) == ("run-1", "LEASE_EXPIRED")


def test_a_page_of_few_among_many_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's request reads a whole history; the cursor says where to go on."""
    monkeypatch.setattr(run_list, "MAX_READ", 3)
    rig.have(1, status=RunStatus.FAILED, lease=None)
    for number in range(2, 10):
        rig.have(number, **ENDED)
    page = rig.page(status=RunStatus.FAILED)
    assert (numbers_of(page), page.next_cursor is None) == ([], False)
    assert rig.numbers(status=RunStatus.FAILED) == [1]


def test_runs_in_a_list_have_their_texts_cut(rig: Rig) -> None:
    rig.have(1, input="é" * 5000)
    (run,) = rig.page().runs
    assert (run.input, run.input_truncated) == ("é" * 2048, True)


def test_listing_needs_the_scope(rig: Rig) -> None:
    with pytest.raises(ForbiddenError, match="runs:read"):
        rig.page(Principal(tenant="acme", user_id="ana"))
