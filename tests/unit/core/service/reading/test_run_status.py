"""Reading runs: who sees what, and what becomes of the dead."""

from datetime import datetime
from threading import Event
from typing import Any

import pytest

from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
)
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.service.reading import runs as run_reading
from agentrun.service.reading.runs import distinct_run_ids, get_run, get_runs
from tests.rig import Rig
from tests.runs import AT, EXECUTOR, a_request, a_run, completed

READ = frozenset({"runs:read"})
ANA = Principal(tenant="acme", user_id="ana", scopes=READ)
STRANGERS = {
    "another user": Principal(tenant="acme", user_id="bob", scopes=READ),
    "another tenant": Principal(tenant="umbrella", user_id="ana", scopes=READ),
    "another tenant's admin": Principal(tenant="umbrella", user_id="x", roles=frozenset({"admin"})),
}


class StatusRig(Rig):
    def start(self, run_id: str = "run-1", **changes: Any) -> AgentRun:
        run = a_run(run_id, **({"session_id": run_id} | changes))
        self.store.start(run, a_request())
        return run

    def one(self, principal: Principal = ANA, agent: str = "echo", run: str = "run-1") -> AgentRun:
        return get_run(principal, agent, run, ports=self.runs)

    def many(self, ids: list[str], principal: Principal = ANA) -> list[AgentRun]:
        return get_runs(principal, "echo", ids, with_text=True, ports=self.runs)


@pytest.fixture
def rig() -> StatusRig:
    return StatusRig()


def test_the_owner_and_the_tenants_admin_see_a_run(rig: StatusRig) -> None:
    run = rig.start()
    admin = Principal(tenant="acme", user_id="root", roles=frozenset({"admin"}))
    assert rig.one() == rig.one(admin) == run


@pytest.mark.parametrize("name", list(STRANGERS))
def test_to_strangers_a_run_looks_exactly_like_a_missing_one(rig: StatusRig, name: str) -> None:
    rig.start()
    with pytest.raises(RunNotFoundError) as foreign:
        rig.one(STRANGERS[name])
    with pytest.raises(RunNotFoundError) as missing:
        rig.one(STRANGERS[name], run="run-9")
    assert str(foreign.value).replace("run-1", "run-9") == str(missing.value)
    assert rig.many(["run-1"], STRANGERS[name]) == []


def test_a_run_of_another_agent_is_missing(rig: StatusRig) -> None:
    rig.start()
    with pytest.raises(RunNotFoundError):
        rig.one(agent="analyst")


@pytest.mark.parametrize("run_id", ["a#b", "", "x" * 65, "é"])
def test_a_malformed_id_is_like_an_unknown_one(rig: StatusRig, run_id: str) -> None:
    with pytest.raises(RunNotFoundError):
        rig.one(run=run_id)
    assert rig.many([run_id]) == []


def test_reading_needs_the_scope(rig: StatusRig) -> None:
    nobody = Principal(tenant="acme", user_id="ana")
    with pytest.raises(ForbiddenError):
        rig.one(nobody)
    with pytest.raises(ForbiddenError):
        rig.many(["run-1"], nobody)


def test_a_batch_answers_in_the_order_asked(rig: StatusRig) -> None:
    for number in range(4):
        rig.start(f"run-{number}")
    asked = ["run-2", "run-7", "run-0", "run-3"]
    assert [run.id for run in rig.many(asked)] == ["run-2", "run-0", "run-3"]


def test_a_run_is_alive_until_lease_and_grace_have_passed(rig: StatusRig) -> None:
    rig.start()
    rig.clock.advance(17)
    assert rig.one().status is RunStatus.RUNNING
    rig.clock.advance(0.001)
    assert rig.one().error_type == LEASE_EXPIRED


def test_the_first_reader_of_a_dead_run_settles_it(rig: StatusRig) -> None:
    rig.start()
    rig.clock.advance(18)
    first = rig.many(["run-1"])[0]
    rig.clock.advance(60)
    assert (first.status, first.input) == (RunStatus.FAILED, "hello")
    assert rig.one() == first


def test_an_ended_run_does_not_expire(rig: StatusRig) -> None:
    run = rig.start()
    rig.store.finish(run.key, EXECUTOR, completed(), at=AT)
    rig.clock.advance(1000)
    assert rig.one().status is RunStatus.COMPLETED


def test_a_batch_settles_all_the_dead_that_it_tells_of(rig: StatusRig) -> None:
    ids = [f"run-{number}" for number in range(40)]
    runs = [rig.start(run_id) for run_id in ids]
    rig.clock.advance(18)
    told = rig.many(ids)
    assert {run.error_type for run in told} == {LEASE_EXPIRED}
    assert told == [rig.store.get(run.key) for run in runs]


def test_an_end_that_cannot_be_written_is_not_told(rig: StatusRig) -> None:
    runs = [rig.start(f"run-{number}") for number in range(3)]
    rig.clock.advance(18)
    rig.store.fails("settle", when=lambda seen, **_: seen.id == "run-1")
    told = rig.many([run.id for run in runs])
    assert [run.status for run in told] == ["FAILED", "RUNNING", "FAILED"]
    assert told == [rig.store.get(run.key) for run in runs]
    rig.store.heartbeat(runs[1].key, EXECUTOR, lease_until=rig.clock.now())
    rig.store.finish(runs[1].key, EXECUTOR, completed(), at=rig.clock.now())
    assert rig.many(["run-1"])[0].status is RunStatus.COMPLETED


def test_an_end_that_is_not_written_in_time_is_not_told(
    rig: StatusRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_reading, "REPAIR_PATIENCE_S", 0.0)
    is_answered = Event()
    rig.runs.threads.submit(is_answered.wait)
    runs = [rig.start(f"run-{number}") for number in range(3)]
    rig.clock.advance(18)
    told = rig.many([run.id for run in runs])
    is_answered.set()
    assert told == runs
    rig.runs.threads.shutdown()
    # Nor was one given up that is then made behind the reader's back.
    assert [rig.store.get(run.key) for run in runs] == runs


@pytest.mark.parametrize("read", ["one", "many"])
def test_a_state_is_told_with_its_own_texts(rig: StatusRig, read: str) -> None:
    """The executor ends its run between the reader's look and its repair."""
    run = rig.start()
    rig.clock.advance(18)

    def end(_: AgentRun, *, at: datetime) -> None:
        rig.store.finish(run.key, EXECUTOR, completed("the answer"), at=at)

    rig.store.before("settle", end, times=1)
    told = rig.one() if read == "one" else rig.many(["run-1"])[0]
    assert (told.status, told.output) == (RunStatus.COMPLETED, "the answer")
    assert told == rig.store.get(run.key)


@pytest.mark.parametrize("read", ["one", "many"])
def test_a_run_that_is_deleted_under_its_reader_is_missing(rig: StatusRig, read: str) -> None:
    run = rig.start()
    rig.clock.advance(18)
    rig.store.before("settle", lambda *_, **__: rig.store.runs.pop(run.key, None))
    if read == "many":
        assert rig.many(["run-1"]) == []
        return
    with pytest.raises(RunNotFoundError):
        rig.one()


def test_a_dead_run_has_ended_when_its_lease_did(rig: StatusRig) -> None:
    run = rig.start()
    rig.clock.advance(3600)
    told = rig.one()
    assert run.lease is not None
    assert (told.completed_at, told.duration_ms) == (run.lease.until, 15_000)
    assert told.updated_at == rig.clock.now()


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
