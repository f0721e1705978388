"""Conversations: who sees which, and what they are shown of them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from agentrun.domain.conversations import Message, PastTurn, Session
from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.service.reading import runs, sessions
from agentrun.service.reading.sessions import (
    delete_session,
    get_session,
    list_sessions,
    session_messages,
    session_runs,
)
from tests.rig import Rig
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


class SessionsRig(Rig):
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

    def session_runs(self, principal: Principal = ANA, session_id: str = SESSION) -> list[AgentRun]:
        return session_runs(
            principal, session_id, conversations=self.conversations, ports=self.runs
        )

    def messages(self, principal: Principal = ANA, session_id: str = SESSION) -> list[Message]:
        return session_messages(
            principal,
            session_id,
            transcript=as_said,
            conversations=self.conversations,
            ports=self.runs,
        )

    def delete(self, principal: Principal = ANA, session_id: str = SESSION) -> None:
        delete_session(principal, session_id, conversations=self.conversations)


@pytest.fixture
def rig() -> SessionsRig:
    return SessionsRig()


LOOKS: dict[str, Callable[[SessionsRig, Principal, str], object]] = {
    "session": SessionsRig.one,
    "runs": SessionsRig.session_runs,
    "messages": SessionsRig.messages,
    "delete": SessionsRig.delete,
}
each_look = pytest.mark.parametrize("look", list(LOOKS))


@each_look
@pytest.mark.parametrize("name", list(STRANGERS))
def test_to_strangers_a_session_looks_exactly_like_a_missing_one(
    rig: SessionsRig, look: str, name: str
) -> None:
    rig.turn()
    with pytest.raises(SessionNotFoundError) as foreign:
        LOOKS[look](rig, STRANGERS[name], SESSION)
    with pytest.raises(SessionNotFoundError) as missing:
        LOOKS[look](rig, STRANGERS[name], "nothing")
    assert str(foreign.value).replace(SESSION, "nothing") == str(missing.value)
    assert rig.one().user_id == "ana"


@each_look
@pytest.mark.parametrize("session_id", ["a#b", "", "x" * 65, "é", "a/b", " ", "a\n"])
def test_a_malformed_id_is_like_an_unknown_one(
    rig: SessionsRig, look: str, session_id: str
) -> None:
    rig.turn(session_id=session_id)
    with pytest.raises(SessionNotFoundError):
        LOOKS[look](rig, ANA, session_id)


@each_look
def test_every_look_needs_its_scope(rig: SessionsRig, look: str) -> None:
    rig.turn()
    without = ANA.model_copy(update={"scopes": READ if look == "delete" else frozenset()})
    with pytest.raises(ForbiddenError):
        LOOKS[look](rig, without, SESSION)


@each_look
def test_the_tenants_admin_may_look_without_scopes(rig: SessionsRig, look: str) -> None:
    rig.turn()
    owners = LOOKS[look](rig, ANA, SESSION) if look != "delete" else None
    assert LOOKS[look](rig, ROOT, SESSION) == owners


def test_a_uuid_is_found_however_it_is_spelled(rig: SessionsRig) -> None:
    rig.turn()
    assert rig.one(session_id=SESSION.upper()).id == SESSION
    assert rig.one(session_id=SESSION.replace("-", "")).id == SESSION


def test_callers_list_their_own_sessions_and_an_admin_those_of_others_too(
    rig: SessionsRig,
) -> None:
    rig.turn(1, session_id="anas")
    rig.turn(2, session_id="bobs", user_id="bob")
    rig.turn(3, session_id="roots", user_id="root")
    rig.turn(4, session_id="theirs", org_id="umbrella")
    assert rig.listed(ANA) == rig.listed(ANA, user_id="ana") == ["anas"]
    assert rig.listed(ROOT) == ["roots"]
    assert rig.listed(ROOT, user_id="bob") == ["bobs"]
    with pytest.raises(ForbiddenError):
        rig.listed(ANA, user_id="bob")
    with pytest.raises(ForbiddenError):
        rig.listed(ANA.model_copy(update={"scopes": frozenset()}))


def test_an_empty_parameter_is_like_none(rig: SessionsRig) -> None:
    rig.turn()
    assert rig.listed(ANA, user_id="", agent_id="", cursor="") == [SESSION]


def test_a_page_is_of_the_size_asked_for(rig: SessionsRig) -> None:
    for number in range(1, 6):
        rig.turn(number, session_id=f"session-{number}")
    pages = [rig.listed(ANA, size=2, page=page) for page in range(4)]
    assert pages == [["session-5", "session-4"], ["session-3", "session-2"], ["session-1"], []]


def test_a_page_and_a_cursor_are_refused_together(rig: SessionsRig) -> None:
    for page in (0, 3):
        with pytest.raises(InvalidRequestError, match="page and cursor") as refused:
            rig.listed(ANA, page=page, cursor="anything")
        assert refused.value.params[0][0] == "page"


def test_runs_are_the_newest_of_the_session_the_oldest_first(
    rig: SessionsRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 8):
        rig.turn(number)
    monkeypatch.setattr(sessions, "MAX_RUNS", 5)
    monkeypatch.setattr(runs, "MAX_BATCH", 2)
    assert [run.id for run in rig.session_runs()] == [f"run-{number}" for number in range(3, 8)]
    assert [said.run_id for said in rig.messages()] == [f"run-{n}" for n in range(3, 8)]


def test_the_texts_of_runs_are_cut(rig: SessionsRig) -> None:
    rig.turn(1, input="é" * 4_000)
    (run,) = rig.session_runs()
    assert (run.input, run.input_truncated) == ("é" * 2_048, True)
    assert (run.output, run.output_truncated) == ("hi", None)


def test_a_dead_run_is_failed_for_every_reader(rig: SessionsRig) -> None:
    run = rig.begin()
    rig.clock.advance(60)
    (seen,) = rig.session_runs()
    assert (seen.status, seen.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    assert rig.store.get(run.key).status is RunStatus.FAILED


def test_what_was_said_to_a_dead_run_is_not_lost(rig: SessionsRig) -> None:
    rig.turn(1)
    run = rig.begin(2)
    assert [said.content for said in rig.messages()] == ["say 1"]
    rig.clock.advance(60)
    assert [said.content for said in rig.messages()] == ["say 1", "say 2"]
    assert rig.store.get(run.key).error_type == LEASE_EXPIRED


def test_a_lock_that_outlives_its_run_is_no_obstacle(rig: SessionsRig) -> None:
    rig.turn(1)
    run = rig.begin(2)
    del rig.store.runs[run.key]
    assert [said.content for said in rig.messages()] == ["say 1"]


def test_a_deleted_session_takes_its_live_run_along(rig: SessionsRig) -> None:
    run = rig.begin()
    rig.delete()
    with pytest.raises(SessionNotFoundError):
        rig.one()
    with pytest.raises(RunNotFoundError):
        rig.store.get(run.key)
    assert rig.listed(ANA) == []
