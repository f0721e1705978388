"""What lists of runs mean to every `RunList`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_list import DynamoRunList
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.lists.run_lists import ListedPause, ListedRun, position_of_run
from agentrun.domain.ports import RunList
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import AgentRun, Lease
from agentrun.service.starting.slots import slot_of
from tests.contract.stores import Stores
from tests.fakes.in_memory_run_list import InMemoryRunList
from tests.fakes.in_memory_store import InMemoryRunStore
from tests.runs import AT, EXECUTOR, PAUSED_UNTIL, completed, failed, paused
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NEXT = "executor-2"


@pytest.fixture
def listed(stores: Stores, request: pytest.FixtureRequest) -> RunList:
    if isinstance(stores.runs, InMemoryRunStore):
        return InMemoryRunList(stores.runs)
    return DynamoRunList(Table(request.getfixturevalue("client"), TABLE))


def a_session(number: int) -> str:
    return f"5f0a4c3e-8f3e-4d61-9d0c-{number:012d}"


def begin(stores: Stores, number: int, **changes: Any) -> AgentRun:
    """Start a run in a session of its own."""
    return stores.begin(number, **({"session_id": a_session(number)} | changes))


def pause(stores: Stores, run: AgentRun, event_id: int = 5) -> AgentRun:
    outcome = paused(event_id)
    action = outcome.required_action.model_copy(update={"approval_id": f"{run.id}.{event_id}"})
    stores.end(run, outcome.model_copy(update={"required_action": action}))
    return stores.runs.get_state(run.key)


def ids(found: Sequence[ListedRun] | Sequence[ListedPause]) -> list[str]:
    return [entry.run_id for entry in found]


def test_a_users_runs_are_listed_the_newest_first(stores: Stores, listed: RunList) -> None:
    for number in range(1, 6):
        begin(stores, number)
    begin(stores, 6, user_id="bob")
    begin(stores, 7, org_id="umbrella")
    found = listed.of_user("acme", "ana", before=None, at_most=9)
    assert ids(found) == ["run-5", "run-4", "run-3", "run-2", "run-1"]
    assert {run.agent_id for run in found} == {"echo"}
    assert ids(listed.of_user("acme", "bob", before=None, at_most=9)) == ["run-6"]
    assert ids(listed.of_user("umbrella", "ana", before=None, at_most=9)) == ["run-7"]


def test_pages_neither_skip_nor_repeat_runs_when_new_ones_begin(
    stores: Stores, listed: RunList
) -> None:
    for number in (2, 4, 6, 8):
        begin(stores, number)
    first = listed.of_user("acme", "ana", before=None, at_most=2)
    begin(stores, 9)
    second = listed.of_user("acme", "ana", before=first[-1].position, at_most=2)
    begin(stores, 10)
    third = listed.of_user("acme", "ana", before=second[-1].position, at_most=2)
    assert ids([*first, *second, *third]) == ["run-8", "run-6", "run-4", "run-2"]


def test_runs_of_the_same_instant_are_told_apart(stores: Stores, listed: RunList) -> None:
    same = AT + timedelta(seconds=1)
    for number in range(1, 4):
        begin(stores, number, created_at=same)
    first = listed.of_user("acme", "ana", before=None, at_most=2)
    rest = listed.of_user("acme", "ana", before=first[-1].position, at_most=2)
    assert ids([*first, *rest]) == ["run-3", "run-2", "run-1"]


def test_a_sessions_runs_are_listed_the_newest_first(stores: Stores, listed: RunList) -> None:
    runs = [stores.turn(number) for number in range(1, 5)]
    begin(stores, 5)
    found = listed.of_session("acme", runs[0].session_id, before=None, at_most=3)
    assert ids(found) == ["run-4", "run-3", "run-2"]
    before = position_of_run(runs[2])
    assert ids(listed.of_session("acme", runs[0].session_id, before=before, at_most=3)) == [
        "run-2",
        "run-1",
    ]
    assert ids(listed.of_session("umbrella", runs[0].session_id, before=None, at_most=3)) == []


def test_pauses_are_listed_the_oldest_first(stores: Stores, listed: RunList) -> None:
    runs = [begin(stores, number, user_id=user) for number, user in enumerate("abab", 1)]
    begin(stores, 9, user_id="a")
    for run in runs:
        pause(stores, run)
    found = listed.pauses("acme", user_id=None)
    assert ids(found) == ["run-1", "run-2", "run-3", "run-4"]
    assert [entry.paused_at for entry in found] == [
        run.created_at + timedelta(seconds=1) for run in runs
    ]
    assert ids(listed.pauses("acme", user_id="b")) == ["run-2", "run-4"]
    assert ids(listed.pauses("umbrella", user_id=None)) == []


def test_a_pause_that_is_over_is_no_longer_listed(stores: Stores, listed: RunList) -> None:
    """However it ended; a continuation may keep its place until it ends itself."""
    runs = [pause(stores, begin(stores, number)) for number in range(1, 5)]
    done, cancelled, undecided, waiting = runs
    at = AT + timedelta(minutes=1)
    lock = stores.conversations.lock("acme", done.session_id)
    stores.runs.resume(
        done, Lease(executor=NEXT, until=at + timedelta(seconds=15)), seen=lock, at=at
    )
    stores.runs.finish(done.key, NEXT, completed(last_event_id=9), at=at)
    stores.runs.request_cancel(cancelled.key, at=at)
    stores.runs.settle(undecided, at=PAUSED_UNTIL + timedelta(seconds=1))
    assert ids(listed.pauses("acme", user_id=None)) == [waiting.id]


def test_a_run_that_is_paused_again_as_it_was_keeps_its_place(
    stores: Stores, listed: RunList
) -> None:
    first, second = (pause(stores, begin(stores, number)) for number in (1, 2))
    before = listed.pauses("acme", user_id=None)
    at = AT + timedelta(minutes=1)
    lock = stores.conversations.lock("acme", first.session_id)
    stores.runs.resume(
        first, Lease(executor=NEXT, until=at + timedelta(seconds=15)), seen=lock, at=at
    )
    stores.runs.restore_pause(first.key, NEXT, at=at, paused_id=5)
    assert listed.pauses("acme", user_id=None) == before
    assert ids(before) == [first.id, second.id]


def test_a_run_that_pauses_anew_is_the_newest(stores: Stores, listed: RunList) -> None:
    first, second = (pause(stores, begin(stores, number)) for number in (1, 2))
    at = AT + timedelta(minutes=1)
    lock = stores.conversations.lock("acme", first.session_id)
    stores.runs.resume(
        first, Lease(executor=NEXT, until=at + timedelta(seconds=15)), seen=lock, at=at
    )
    stores.runs.finish(first.key, NEXT, paused(9), at=at)
    assert ids(listed.pauses("acme", user_id="ana")) == [second.id, first.id]


def test_a_deleted_session_leaves_nothing_in_a_list(stores: Stores, listed: RunList) -> None:
    waiting = pause(stores, begin(stores, 1))
    stores.end(run := begin(stores, 2), failed())
    for session in (waiting.session_id, run.session_id):
        stores.conversations.delete("acme", session)
    assert ids(listed.of_user("acme", "ana", before=None, at_most=9)) == []
    assert ids(listed.of_session("acme", run.session_id, before=None, at_most=9)) == []
    assert ids(listed.pauses("acme", user_id=None)) == []


def test_active_runs_are_those_with_a_slot_and_those_that_are_paused(
    stores: Stores, listed: RunList, request: pytest.FixtureRequest
) -> None:
    running, waiting = begin(stores, 1), pause(stores, begin(stores, 2, user_id="bob"))
    other = begin(stores, 3, org_id="umbrella")
    if isinstance(listed, DynamoRunList):
        client: DynamoDBClient = request.getfixturevalue("client")
        quota = DynamoRunQuota(Table(client, TABLE), RunLimits())
        for run in (running, other):
            quota.take(slot_of(run), at=run.created_at)
    assert set(listed.active("acme", user_id=None)) == {running.id, waiting.id}
    assert set(listed.active("acme", user_id="ana")) == {running.id}
    assert set(listed.active("acme", user_id="bob")) == {waiting.id}
    assert set(listed.active("umbrella", user_id=None)) == {other.id}
    assert set(listed.active("nobody", user_id=None)) == set()


def test_only_a_run_that_is_paused_has_its_header_in_the_index(client: "DynamoDBClient") -> None:
    """Every heartbeat of a run that is in the index would be written twice."""
    stores = Stores.on_dynamo(client)

    def is_indexed() -> bool:
        found = client.scan(TableName=TABLE, IndexName="sessions")["Items"]
        return "RUN" in {item["sk"]["S"] for item in found}

    run = begin(stores, 1)
    stores.runs.heartbeat(run.key, EXECUTOR, lease_until=AT + timedelta(minutes=1))
    assert not is_indexed()
    pause(stores, run)
    assert is_indexed()
    stores.runs.request_cancel(run.key, at=AT + timedelta(minutes=2))
    assert not is_indexed()
