"""Reading runs: who sees what, and what becomes of the dead."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event
from typing import Any

import pytest

from agentrun.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
)
from agentrun.domain.principal import Principal
from agentrun.domain.runs import LEASE_EXPIRED, AgentRun, RunStatus
from agentrun.service import repairs
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_status import distinct_run_ids, get_run, get_runs
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, EXECUTOR, a_request, a_run, completed

READ = frozenset({"runs:read"})
ANA = Principal(tenant="acme", user_id="ana", scopes=READ)
STRANGERS = {
    "another user": Principal(tenant="acme", user_id="bob", scopes=READ),
    "another tenant": Principal(tenant="umbrella", user_id="ana", scopes=READ),
    "another tenant's admin": Principal(tenant="umbrella", user_id="x", roles=frozenset({"admin"})),
}


class Reading:
    def __init__(self) -> None:
        self.log = InMemoryEventLog()
        self.store = InMemoryRunStore(self.log)
        self.clock = FixedClock(AT)
        self.ports = RunPorts(self.store, self.log, ThreadPoolExecutor(1), self.clock)

    def start(self, run_id: str = "run-1", **changes: Any) -> AgentRun:
        run = a_run(run_id, **({"session_id": run_id} | changes))
        self.store.start(run, a_request())
        return run

    def one(self, principal: Principal = ANA, agent: str = "echo", run: str = "run-1") -> AgentRun:
        return get_run(principal, agent, run, ports=self.ports)

    def many(self, ids: list[str], principal: Principal = ANA) -> list[AgentRun]:
        return get_runs(principal, "echo", ids, with_text=True, ports=self.ports)


@pytest.fixture
def reading() -> Reading:
    return Reading()


def test_the_owner_and_the_tenants_admin_see_a_run(reading: Reading) -> None:
    run = reading.start()
    admin = Principal(tenant="acme", user_id="root", roles=frozenset({"admin"}))
    assert reading.one() == reading.one(admin) == run


@pytest.mark.parametrize("name", list(STRANGERS))
def test_to_strangers_a_run_looks_exactly_like_a_missing_one(reading: Reading, name: str) -> None:
    reading.start()
    with pytest.raises(RunNotFoundError) as foreign:
        reading.one(STRANGERS[name])
    with pytest.raises(RunNotFoundError) as missing:
        reading.one(STRANGERS[name], run="run-9")
    assert str(foreign.value).replace("run-1", "run-9") == str(missing.value)
    assert reading.many(["run-1"], STRANGERS[name]) == []


def test_a_run_of_another_agent_is_missing(reading: Reading) -> None:
    reading.start()
    with pytest.raises(RunNotFoundError):
        reading.one(agent="analyst")


@pytest.mark.parametrize("run_id", ["a#b", "", "x" * 65, "é"])
def test_a_malformed_id_is_like_an_unknown_one(reading: Reading, run_id: str) -> None:
    with pytest.raises(RunNotFoundError):
        reading.one(run=run_id)
    assert reading.many([run_id]) == []


def test_reading_needs_the_scope(reading: Reading) -> None:
    nobody = Principal(tenant="acme", user_id="ana")
    with pytest.raises(ForbiddenError):
        reading.one(nobody)
    with pytest.raises(ForbiddenError):
        reading.many(["run-1"], nobody)


def test_a_batch_answers_in_the_order_asked(reading: Reading) -> None:
    for number in range(4):
        reading.start(f"run-{number}")
    asked = ["run-2", "run-7", "run-0", "run-3"]
    assert [run.id for run in reading.many(asked)] == ["run-2", "run-0", "run-3"]


def test_a_run_is_alive_until_lease_and_grace_have_passed(reading: Reading) -> None:
    reading.start()
    reading.clock.advance(17)
    assert reading.one().status is RunStatus.RUNNING
    reading.clock.advance(0.001)
    assert reading.one().error_type == LEASE_EXPIRED


def test_whoever_reads_a_dead_run_first_settles_it(reading: Reading) -> None:
    reading.start()
    reading.clock.advance(18)
    first = reading.many(["run-1"])[0]
    reading.clock.advance(60)
    assert (first.status, first.input) == (RunStatus.FAILED, "hello")
    assert reading.one() == first


def test_an_ended_run_does_not_expire(reading: Reading) -> None:
    run = reading.start()
    reading.store.finish(run.key, EXECUTOR, completed(), at=AT)
    reading.clock.advance(1000)
    assert reading.one().status is RunStatus.COMPLETED


def test_a_batch_settles_all_the_dead_that_it_tells_of(reading: Reading) -> None:
    ids = [f"run-{number}" for number in range(40)]
    runs = [reading.start(run_id) for run_id in ids]
    reading.clock.advance(18)
    told = reading.many(ids)
    assert {run.error_type for run in told} == {LEASE_EXPIRED}
    assert told == [reading.store.get(run.key) for run in runs]


def test_an_end_that_cannot_be_written_is_not_told(reading: Reading) -> None:
    runs = [reading.start(f"run-{number}") for number in range(3)]
    reading.clock.advance(18)
    reading.store.fails("settle", when=lambda seen, **_: seen.id == "run-1")
    told = reading.many([run.id for run in runs])
    assert [run.status for run in told] == ["FAILED", "RUNNING", "FAILED"]
    assert told == [reading.store.get(run.key) for run in runs]
    reading.store.heartbeat(runs[1].key, EXECUTOR, lease_until=reading.clock.now())
    reading.store.finish(runs[1].key, EXECUTOR, completed(), at=reading.clock.now())
    assert reading.many(["run-1"])[0].status is RunStatus.COMPLETED


def test_an_end_that_is_not_written_in_time_is_not_told(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "PATIENCE_S", 0.0)
    is_answered = Event()
    reading.ports.threads.submit(is_answered.wait)
    runs = [reading.start(f"run-{number}") for number in range(3)]
    reading.clock.advance(18)
    told = reading.many([run.id for run in runs])
    is_answered.set()
    assert told == runs
    reading.ports.threads.shutdown()
    # Nor was one given up that is then made behind the reader's back.
    assert [reading.store.get(run.key) for run in runs] == runs


@pytest.mark.parametrize("read", ["one", "many"])
def test_a_state_is_told_with_its_own_texts(reading: Reading, read: str) -> None:
    """The executor ends its run between the reader's look and its repair."""
    run = reading.start()
    reading.clock.advance(18)

    def end(_: AgentRun, *, at: datetime) -> None:
        reading.store.finish(run.key, EXECUTOR, completed("the answer"), at=at)

    reading.store.before("settle", end, times=1)
    told = reading.one() if read == "one" else reading.many(["run-1"])[0]
    assert (told.status, told.output) == (RunStatus.COMPLETED, "the answer")
    assert told == reading.store.get(run.key)


@pytest.mark.parametrize("read", ["one", "many"])
def test_a_run_that_is_deleted_under_its_reader_is_missing(reading: Reading, read: str) -> None:
    run = reading.start()
    reading.clock.advance(18)
    reading.store.before("settle", lambda *_, **__: reading.store.runs.pop(run.key, None))
    if read == "many":
        assert reading.many(["run-1"]) == []
        return
    with pytest.raises(RunNotFoundError):
        reading.one()


def test_a_dead_run_has_ended_when_its_lease_did(reading: Reading) -> None:
    run = reading.start()
    reading.clock.advance(3600)
    told = reading.one()
    assert run.lease is not None
    assert (told.completed_at, told.duration_ms) == (run.lease.until, 15_000)
    assert told.updated_at == reading.clock.now()


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([""], []),
        ([",,"], []),
        (["a,b", "c"], ["a", "b", "c"]),
        (["a,b,a", "b", ""], ["a", "b"]),
        ([" a , b"], ["a", "b"]),
    ],
)
def test_ids_come_separated_or_repeated_and_count_once(values: list[str], ids: list[str]) -> None:
    assert distinct_run_ids(values) == ids


def test_a_hundred_distinct_ids_are_the_most() -> None:
    hundred = [str(number) for number in range(100)]
    assert distinct_run_ids([",".join(hundred * 2)]) == hundred
    with pytest.raises(InvalidRequestError, match="101"):
        distinct_run_ids([",".join([*hundred, "one more"])])
