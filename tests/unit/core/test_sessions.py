"""Conversations: who sees which, and what they are shown of them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from agentrun.domain.conversations import Message, PastTurn, Session
from agentrun.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.principal import Principal
from agentrun.domain.runs import LEASE_EXPIRED, AgentRun, RunStatus
from agentrun.service import repairs, sessions
from agentrun.service.run_ports import RunPorts
from agentrun.service.sessions import (
    delete_session,
    get_session,
    list_sessions,
    session_messages,
    session_runs,
)
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_conversations import InMemoryConversations
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, EXECUTOR, SESSION, a_request, a_run, completed

READ, WRITE = frozenset({"runs:read"}), frozenset({"runs:write"})
ADMIN = frozenset({"admin"})
ANA = Principal(tenant="acme", user_id="ana", scopes=READ | WRITE)
ROOT = Principal(tenant="acme", user_id="root", roles=ADMIN)
STRANGERS = {
    "another user": Principal(tenant="acme", user_id="bob", scopes=READ | WRITE),
    "another tenant": Principal(tenant="umbrella", user_id="ana", scopes=READ | WRITE),
    "another tenant's admin": Principal(tenant="umbrella", user_id="x", roles=ADMIN),
}


def as_said(turn: PastTurn) -> Sequence[Message]:
    """A transcript of the plainest kind."""
    question = {"role": "user", "content": turn.input, "created_at": turn.created_at}
    return [Message(**question, run_id=turn.run_id)]


class Talking:
    def __init__(self) -> None:
        self.store = InMemoryRunStore(InMemoryEventLog())
        self.conversations = InMemoryConversations(self.store)
        self.clock = FixedClock(AT)
        self.ports = RunPorts(self.store, self.store.log, ThreadPoolExecutor(1), self.clock)

    def begin(self, number: int = 1, **changes: Any) -> AgentRun:
        at = AT + timedelta(milliseconds=number)
        run = a_run(f"run-{number}", **{"created_at": at, "input": f"say {number}"} | changes)
        self.store.start(run, a_request(run.input or ""))
        return run

    def turn(self, number: int = 1, **changes: Any) -> AgentRun:
        run = self.begin(number, **changes)
        self.store.finish(run.key, EXECUTOR, completed(), at=run.created_at)
        self.store.release(run)
        return run

    def listed(self, principal: Principal, **wanted: Any) -> list[str]:
        query = {"user_id": None, "agent_id": None, "size": 20, "cursor": None} | wanted
        page = list_sessions(principal, conversations=self.conversations, **query)
        return [session.id for session in page.sessions]

    def one(self, principal: Principal = ANA, session_id: str = SESSION) -> Session:
        return get_session(principal, session_id, conversations=self.conversations)

    def runs(self, principal: Principal = ANA, session_id: str = SESSION) -> list[AgentRun]:
        return session_runs(
            principal, session_id, conversations=self.conversations, ports=self.ports
        )

    def messages(self, principal: Principal = ANA, session_id: str = SESSION) -> list[Message]:
        return session_messages(
            principal,
            session_id,
            transcript=as_said,
            conversations=self.conversations,
            ports=self.ports,
        )

    def delete(self, principal: Principal = ANA, session_id: str = SESSION) -> None:
        delete_session(principal, session_id, conversations=self.conversations)


@pytest.fixture
def talking() -> Talking:
    return Talking()


LOOKS: dict[str, Callable[[Talking, Principal, str], object]] = {
    "session": Talking.one,
    "runs": Talking.runs,
    "messages": Talking.messages,
    "delete": Talking.delete,
}
each_look = pytest.mark.parametrize("look", list(LOOKS))


@each_look
@pytest.mark.parametrize("name", list(STRANGERS))
def test_to_strangers_a_session_looks_exactly_like_a_missing_one(
    talking: Talking, look: str, name: str
) -> None:
    talking.turn()
    with pytest.raises(SessionNotFoundError) as foreign:
        LOOKS[look](talking, STRANGERS[name], SESSION)
    with pytest.raises(SessionNotFoundError) as missing:
        LOOKS[look](talking, STRANGERS[name], "nothing")
    assert str(foreign.value).replace(SESSION, "nothing") == str(missing.value)
    assert talking.one().user_id == "ana"


@each_look
@pytest.mark.parametrize("session_id", ["a#b", "", "x" * 65, "é", "a/b", " ", "a\n"])
def test_a_malformed_id_is_like_an_unknown_one(
    talking: Talking, look: str, session_id: str
) -> None:
    talking.turn(session_id=session_id)
    with pytest.raises(SessionNotFoundError):
        LOOKS[look](talking, ANA, session_id)


@each_look
def test_every_look_needs_its_scope(talking: Talking, look: str) -> None:
    talking.turn()
    without = ANA.model_copy(update={"scopes": READ if look == "delete" else frozenset()})
    with pytest.raises(ForbiddenError):
        LOOKS[look](talking, without, SESSION)


@each_look
def test_the_tenants_admin_may_look_without_scopes(talking: Talking, look: str) -> None:
    talking.turn()
    owners = LOOKS[look](talking, ANA, SESSION) if look != "delete" else None
    assert LOOKS[look](talking, ROOT, SESSION) == owners


def test_a_uuid_is_found_however_it_is_spelled(talking: Talking) -> None:
    talking.turn()
    assert talking.one(session_id=SESSION.upper()).id == SESSION
    assert talking.one(session_id=SESSION.replace("-", "")).id == SESSION


def test_callers_list_their_own_sessions_and_an_admin_those_of_others_too(
    talking: Talking,
) -> None:
    talking.turn(1, session_id="anas")
    talking.turn(2, session_id="bobs", user_id="bob")
    talking.turn(3, session_id="roots", user_id="root")
    talking.turn(4, session_id="theirs", org_id="umbrella")
    assert talking.listed(ANA) == talking.listed(ANA, user_id="ana") == ["anas"]
    assert talking.listed(ROOT) == ["roots"]
    assert talking.listed(ROOT, user_id="bob") == ["bobs"]
    with pytest.raises(ForbiddenError):
        talking.listed(ANA, user_id="bob")
    with pytest.raises(ForbiddenError):
        talking.listed(ANA.model_copy(update={"scopes": frozenset()}))


def test_an_empty_parameter_is_like_none(talking: Talking) -> None:
    talking.turn()
    assert talking.listed(ANA, user_id="", agent_id="", cursor="") == [SESSION]


def test_a_page_is_of_the_size_asked_for(talking: Talking) -> None:
    for number in range(1, 6):
        talking.turn(number, session_id=f"session-{number}")
    pages = [talking.listed(ANA, size=2, page=page) for page in range(4)]
    assert pages == [["session-5", "session-4"], ["session-3", "session-2"], ["session-1"], []]


def test_a_page_and_a_cursor_are_refused_together(talking: Talking) -> None:
    for page in (0, 3):
        with pytest.raises(InvalidRequestError, match="page and cursor") as refused:
            talking.listed(ANA, page=page, cursor="anything")
        assert refused.value.params[0][0] == "page"


def test_runs_are_the_newest_of_the_session_the_oldest_first(
    talking: Talking, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 8):
        talking.turn(number)
    monkeypatch.setattr(sessions, "MAX_RUNS", 5)
    monkeypatch.setattr(repairs, "MAX_BATCH", 2)
    assert [run.id for run in talking.runs()] == [f"run-{number}" for number in range(3, 8)]
    assert [said.run_id for said in talking.messages()] == [f"run-{n}" for n in range(3, 8)]


def test_the_texts_of_runs_are_cut(talking: Talking) -> None:
    talking.turn(1, input="é" * 4_000)
    (run,) = talking.runs()
    assert (run.input, run.input_truncated) == ("é" * 2_048, True)
    assert (run.output, run.output_truncated) == ("hi", None)


def test_a_dead_run_is_failed_for_whoever_looks(talking: Talking) -> None:
    run = talking.begin()
    talking.clock.advance(60)
    (seen,) = talking.runs()
    assert (seen.status, seen.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    assert talking.store.get(run.key).status is RunStatus.FAILED


def test_what_was_said_to_a_dead_run_is_not_lost(talking: Talking) -> None:
    talking.turn(1)
    run = talking.begin(2)
    assert [said.content for said in talking.messages()] == ["say 1"]
    talking.clock.advance(60)
    assert [said.content for said in talking.messages()] == ["say 1", "say 2"]
    assert talking.store.get(run.key).error_type == LEASE_EXPIRED


def test_a_lock_that_outlives_its_run_is_no_obstacle(talking: Talking) -> None:
    talking.turn(1)
    run = talking.begin(2)
    del talking.store.runs[run.key]
    assert [said.content for said in talking.messages()] == ["say 1"]


def test_a_deleted_session_takes_its_live_run_along(talking: Talking) -> None:
    run = talking.begin()
    talking.delete()
    with pytest.raises(SessionNotFoundError):
        talking.one()
    with pytest.raises(RunNotFoundError):
        talking.store.get(run.key)
    assert talking.listed(ANA) == []
