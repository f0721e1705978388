"""How every `ConversationStore` finds the runs that a request has started."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import RunStatus
from tests.contract.stores import Stores
from tests.runs import AT, SESSION, a_queued_run, a_request, completed

IN_SESSION = RunRequest(message="hello", session_id=UUID(SESSION))
PRINT = "bodys-fingerprnt"


def found(stores: Stores, request: RunRequest = IN_SESSION, **changes: Any) -> list[str]:
    asked: dict[str, Any] = {
        "tenant": "acme",
        "user_id": "ana",
        "agent_id": "echo",
        "fingerprint": PRINT,
        "since": AT,
    }
    runs = stores.conversations.runs_of_request(request=request, **asked | changes)
    assert all(run.input is run.output is None for run in runs)
    return [run.id for run in runs]


def test_the_runs_of_a_request_in_a_session_are_found_the_newest_first(
    stores: Stores,
) -> None:
    stores.turn(1)
    for number in (2, 3):
        stores.end(stores.begin(number, fingerprint=PRINT), completed())
    stores.end(stores.begin(4, fingerprint="anotherrequests_"), completed())
    stores.begin(5, fingerprint=PRINT)
    assert found(stores) == ["run-5", "run-3", "run-2"]


def test_a_run_is_found_as_it_is(stores: Stores) -> None:
    run = stores.begin(fingerprint=PRINT)
    queued = a_queued_run(created_at=AT + timedelta(seconds=2))
    stores.runs.start(queued, a_request(), fingerprint=PRINT)
    stores.end(run, completed(last_event_id=7))
    asked: dict[str, Any] = {"agent_id": "echo", "fingerprint": PRINT, "since": AT}
    waiting, ended = stores.conversations.runs_of_request("acme", "ana", IN_SESSION, **asked)
    assert (waiting.id, waiting.status) == (queued.id, RunStatus.QUEUED)
    assert (ended.id, ended.status, ended.last_event_id) == (run.id, RunStatus.COMPLETED, 7)


def test_a_request_without_a_session_is_found_in_those_that_it_has_begun(
    stores: Stores,
) -> None:
    for number in range(1, 6):
        begun = stores.begin(
            number, session_id=str(uuid4()), fingerprint=PRINT if number < 5 else None
        )
        stores.end(begun, completed())
    other = stores.begin(6, "another message", session_id=str(uuid4()), fingerprint="other")
    stores.end(other, completed())
    assert found(stores, a_request()) == ["run-4", "run-3", "run-2", "run-1"]


def test_a_request_without_a_session_is_found_though_its_session_is_used_on(
    stores: Stores,
) -> None:
    stores.end(stores.begin(1, fingerprint=PRINT), completed())
    stores.turn(2, "and then?")
    assert found(stores, a_request()) == ["run-1"]


@pytest.mark.parametrize("request_", [IN_SESSION, a_request()])
@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "umbrella"},
        {"user_id": "bob"},
        {"agent_id": "analyst"},
        {"fingerprint": "somethingelse___"},
        {"since": AT + timedelta(seconds=1, milliseconds=1)},
    ],
    ids=str,
)
def test_runs_of_anything_else_are_not_found(
    stores: Stores, request_: RunRequest, changes: dict[str, Any]
) -> None:
    run = stores.begin(1, fingerprint=PRINT)
    assert found(stores, request_) == [run.id]
    assert found(stores, request_, since=run.created_at) == [run.id]
    assert found(stores, request_, **changes) == []


@pytest.mark.parametrize("request_", [IN_SESSION, a_request()])
def test_runs_of_a_deleted_session_are_not_found(stores: Stores, request_: RunRequest) -> None:
    stores.begin(1, fingerprint=PRINT)
    stores.conversations.delete("acme", SESSION)
    assert found(stores, request_) == []


def test_a_user_with_many_sessions_finds_the_one_that_was_begun_last(
    stores: Stores,
) -> None:
    for number in range(1, 121):
        message = "hello" if number in {1, 60} else f"message {number}"
        run = stores.begin(
            number,
            message,
            session_id=str(uuid4()),
            fingerprint=PRINT if message == "hello" else "x",
        )
        stores.end(run, completed())
    assert found(stores, a_request())[0] == "run-60"
