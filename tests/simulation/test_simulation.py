"""
The services under virtual time: no schedule breaks a promise.

A failure names the promise and the seed: `python -m tests.simulation --seed SEED --examples 1
--trace 100` shows how it came to that.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

import pytest

from agentrun.domain.conversations import PastTurn, SessionLock
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.steps import Returned, Step
from tests.fakes import in_memory_journal
from tests.fakes.in_memory_conversations import InMemoryConversations
from tests.fakes.in_memory_store import InMemoryRunStore, StoredSession
from tests.simulation.example import Example, Report
from tests.simulation.storage import Table
from tests.tables import client_of, dynamodb_server

BLOCKS = range(1, 201, 50)
ON_A_SERVER = range(3, 7)
"""Few, and without crowds: a server is a hundred times as slow as a table in memory."""


def told(report: Report) -> str:
    """Describe which promise was broken, and what led to it."""
    lines = [f"seed {report.seed}", *(f"{name}: {detail}" for name, detail in report.broken)]
    return "\n".join([*lines, *report.trace[-40:]])


@pytest.mark.parametrize("first", BLOCKS)
def test_no_schedule_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + BLOCKS.step):
        report = Example(seed).play()
        assert not report.broken, told(report)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[partial[Table]]:
    with dynamodb_server(tmp_path_factory.mktemp("simulation")) as url:
        client = client_of(url)
        yield partial(Table, client)
        client.close()


@pytest.mark.parametrize("first", BLOCKS)
def test_no_schedule_breaks_a_promise_between_the_adapters_and_their_table(first: int) -> None:
    for seed in range(first, first + 25):
        report = Example(seed, partial(Table, None)).play()
        assert not report.broken, told(report)


def test_no_schedule_breaks_a_promise_on_a_server(table: partial[Table]) -> None:
    for seed in ON_A_SERVER:
        report = Example(seed, table).play()
        assert not report.broken, told(report)


def test_a_seed_is_a_schedule() -> None:
    first, second = (Example(7).play() for _ in range(2))
    assert first.trace == second.trace


# A fault put in on purpose, and the promise that it breaks.


def is_found(promise: str, *, within: int) -> bool:
    """Tell whether one of so many examples breaks exactly this promise."""
    return any(
        promise in {name for name, _ in Example(seed).play().broken} for seed in range(1, within)
    )


def test_a_cancel_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def request_cancel(store: InMemoryRunStore, key: RunKey, *, at: datetime) -> None:
        """Do nothing."""

    monkeypatch.setattr(InMemoryRunStore, "request_cancel", request_cancel)
    assert is_found("a_cancel_stays", within=50)


def test_a_heartbeat_that_renews_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def heartbeat(
        store: InMemoryRunStore, key: RunKey, executor: str, *, lease_until: datetime
    ) -> AgentRun:
        return store.get_state(key)

    monkeypatch.setattr(InMemoryRunStore, "heartbeat", heartbeat)
    assert is_found("a_lease_lapses_in_silence_only", within=50)


def test_a_lock_that_anybody_may_take_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(
        store: InMemoryRunStore,
        session: StoredSession,
        run: AgentRun,
        executor: str,
        seen: SessionLock,
    ) -> None:
        session.lock = session.lock.taken_by(run.id, executor)

    monkeypatch.setattr(InMemoryRunStore, "_take", take)
    assert is_found("one_run_acts_in_a_session", within=50)


def test_a_turn_that_is_not_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def turns(
        conversations: InMemoryConversations,
        tenant: str,
        session_id: str,
        *,
        newest: int | None,
        except_run: str | None = None,
    ) -> Sequence[PastTurn]:
        return real(conversations, tenant, session_id, newest=newest, except_run=except_run)[:-1]

    real = InMemoryConversations.turns
    monkeypatch.setattr(InMemoryConversations, "turns", turns)
    assert is_found("a_session_tells_what_was_said", within=25)


def test_an_end_that_does_not_look_whether_there_is_one_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settle(store: InMemoryRunStore, seen: AgentRun, *, at: datetime) -> AgentRun:
        store.runs[seen.key] = store.runs[seen.key].model_copy(update=_held(seen))
        return real(store, seen, at=at)

    real = InMemoryRunStore.settle
    monkeypatch.setattr(InMemoryRunStore, "settle", settle)
    assert is_found("a_run_ends_once", within=150)


def test_a_call_in_doubt_that_runs_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_step(store: InMemoryRunStore, key: RunKey, step: Step) -> bool:
        """Forget which calls act."""
        if not isinstance(step.content, Returned):
            step = step.model_copy(update={"content": step.content.model_copy(update=NOT_ACTING)})
        return real(store, key, step)

    real = InMemoryRunStore.keep_step
    monkeypatch.setattr(InMemoryRunStore, "keep_step", keep_step)
    assert is_found("a_call_acts_as_its_tool_may", within=150)


def test_a_run_that_is_taken_from_the_living_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory_journal, "_decisive", lambda run: None)
    assert is_found("attempts_are_limited", within=150)


NOT_ACTING = {"acting": ()}


def _held(seen: AgentRun) -> dict[str, object]:
    """Return what a settling is conditional on."""
    names = ("status", "lease", "last_event_id", "cancel_requested")
    return {name: getattr(seen, name) for name in names}
