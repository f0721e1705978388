"""What every `ConversationStore` has to keep, on what a `RunStore` has written."""

import random
from datetime import timedelta
from itertools import product

import pytest

from agentrun.domain.conversations import FREE, Session, SessionLock
from agentrun.domain.endings import CancelledByRequest, EndProgress
from agentrun.domain.errors import (
    FencedError,
    InvalidRequestError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.events import Metrics
from agentrun.domain.runs import RunKey, RunStatus
from tests.contract.stores import Stores
from tests.runs import AT, EXECUTOR, SESSION, a_request, a_run, completed, deltas, failed, paused


def text_of(size: int) -> str:
    # Random letters compress badly, so that the larger ones need several items.
    return "".join(random.Random(size).choices("abcdé🙂\u2028\r\n", k=size))


def test_a_session_is_named_after_its_first_message_and_used_with_each(
    stores: Stores,
) -> None:
    stores.turn(1, "  What is\nthe time?  ")
    stores.turn(2, "And now?")
    assert stores.conversations.session("acme", SESSION) == Session(
        id=SESSION,
        agent_id="echo",
        user_id="ana",
        title="What is the time?",
        created_at=AT + timedelta(seconds=1),
        updated_at=AT + timedelta(seconds=2),
    )


def test_a_missing_session_is_an_error_but_free_and_without_runs(
    stores: Stores,
) -> None:
    conversations = stores.conversations
    stores.turn()
    for tenant, session_id in (("acme", "nothing"), ("umbrella", SESSION)):
        with pytest.raises(SessionNotFoundError):
            conversations.session(tenant, session_id)
        with pytest.raises(SessionNotFoundError):
            conversations.delete(tenant, session_id)
        assert conversations.lock(tenant, session_id) == FREE
        assert conversations.turns(tenant, session_id, newest=None) in ([], ())
        assert conversations.run_keys(tenant, session_id) in ([], ())
    assert stores.runs.get(a_run().key).status is RunStatus.COMPLETED


def test_the_lock_names_the_active_run_and_those_that_wait(stores: Stores) -> None:
    first = stores.begin(1)
    for number in (2, 3):
        stores.begin(number, status=RunStatus.QUEUED, started_at=None)
    waiting = ("run-2", "run-3")
    assert stores.conversations.lock("acme", SESSION) == SessionLock(
        active="run-1", active_by=EXECUTOR, queue=waiting
    )
    stores.end(first, completed())
    assert stores.conversations.lock("acme", SESSION) == SessionLock(queue=waiting)


def test_turns_are_the_ended_runs_the_oldest_first(stores: Stores) -> None:
    cancelled = CancelledByRequest(output="so", metrics=Metrics(), last_event_id=3, reason="asked")
    stores.turn(1, "one")
    stores.turn(2, "two", failed())
    stores.turn(3, "three", cancelled)
    stores.turn(4, "four", completed(messages='["engine"]'))
    stores.begin(5, "five")
    stores.begin(6, "six", status=RunStatus.QUEUED, started_at=None)
    turns = stores.conversations.turns("acme", SESSION, newest=None)
    assert [(turn.run_id, turn.input, turn.messages, turn.is_whole) for turn in turns] == [
        ("run-1", "one", None, True),
        ("run-2", "two", None, False),
        ("run-3", "three", None, False),
        ("run-4", "four", '["engine"]', True),
    ]
    assert [turn.output for turn in turns[:3]] == ["answer 1", "so far", "so"]
    assert turns[0].created_at == AT + timedelta(seconds=1)
    assert turns[0].updated_at == AT + timedelta(seconds=2)


@pytest.mark.parametrize("newest", [0, 1, 3, 4, 5, None])
def test_only_the_newest_turns_are_given_where_so_many_are_wanted(
    stores: Stores, newest: int | None
) -> None:
    for number in range(1, 6):
        stores.turn(number)
    turns = stores.conversations.turns("acme", SESSION, newest=newest, except_run="run-5")
    ids = ["run-1", "run-2", "run-3", "run-4"]
    assert [turn.run_id for turn in turns] == (ids if newest is None else ids[max(0, 4 - newest) :])


@pytest.mark.parametrize("size", [700, 5_000, 400_000])
def test_texts_of_any_size_come_back_whole(stores: Stores, size: int) -> None:
    text = text_of(size)
    stores.turn(1, text[:100_000], completed(text))
    stores.turn(2, "second", completed("answer", messages=text))
    plain, told = stores.conversations.turns("acme", SESSION, newest=None)
    assert (plain.input, plain.output, plain.messages) == (text[:100_000], text, None)
    assert (told.input, told.output, told.messages) == ("second", "answer", text)


def test_a_users_sessions_are_listed_the_most_recently_used_first(
    stores: Stores,
) -> None:
    for number in range(1, 6):
        stores.turn(number, session_id=f"session-{number}")
    stores.turn(6, session_id="session-2")
    stores.turn(7, session_id="bobs", user_id="bob")
    stores.turn(8, session_id="elsewhere", org_id="umbrella")
    listed = ["session-2", "session-5", "session-4", "session-3", "session-1"]
    assert stores.session_ids() == listed
    assert stores.session_ids(size=5) == stores.session_ids(size=100) == listed
    assert stores.session_ids("bob") == ["bobs"]
    assert stores.session_ids("nobody") == []


def test_the_last_page_says_that_it_is_the_last(stores: Stores) -> None:
    for number in range(1, 5):
        stores.turn(number, session_id=f"session-{number}")
    read = stores.conversations.sessions
    first = read("acme", "ana", agent_id=None, size=2, cursor=None)
    assert first.next_cursor is not None
    last = read("acme", "ana", agent_id=None, size=2, cursor=first.next_cursor)
    assert (len(last.sessions), last.next_cursor) == (2, None)


def test_pages_of_one_agents_sessions_are_full(stores: Stores) -> None:
    for number in range(1, 12):
        agent = "analyst" if number % 3 == 0 else "echo"
        stores.turn(number, session_id=f"session-{number}", agent_id=agent)
    page = stores.conversations.sessions("acme", "ana", agent_id="analyst", size=2, cursor=None)
    assert [session.id for session in page.sessions] == ["session-9", "session-6"]
    assert stores.session_ids(agent_id="analyst") == ["session-9", "session-6", "session-3"]
    assert stores.session_ids(agent_id="nobody") == []


def test_a_page_says_how_many_sessions_there_are_in_all(stores: Stores) -> None:
    for number in range(1, 12):
        agent = "analyst" if number % 3 == 0 else "echo"
        stores.turn(number, session_id=f"session-{number:02}", agent_id=agent)
    stores.turn(12, session_id="bobs", user_id="bob")
    stores.turn(13, session_id="elsewhere", org_id="umbrella")
    read = stores.conversations.sessions
    for agent_id, total in ((None, 11), ("analyst", 3), ("nobody", 0)):
        cursor = None
        for _ in range(3):
            page = read("acme", "ana", agent_id=agent_id, size=2, cursor=cursor)
            assert page.total == total
            cursor = page.next_cursor
    assert read("acme", "nobody", agent_id=None, size=2).total == 0


@pytest.mark.parametrize(
    ("agent_id", "ids"),
    [(None, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), ("analyst", [9, 6, 3]), ("nobody", [])],
)
def test_any_number_of_sessions_can_be_passed_over(
    stores: Stores, agent_id: str | None, ids: list[int]
) -> None:
    for number in range(1, 12):
        agent = "analyst" if number % 3 == 0 else "echo"
        stores.turn(number, session_id=f"session-{number:02}", agent_id=agent)
    listed = [f"session-{number:02}" for number in ids]
    for size, skip in product((1, 2, 3, 5, 11, 100), (0, 1, 2, 3, 10, 11, 12, 100_000_000)):
        page = stores.conversations.sessions("acme", "ana", agent_id=agent_id, size=size, skip=skip)
        assert [session.id for session in page.sessions] == listed[skip : skip + size]
        assert page.total == len(listed)
        assert (page.next_cursor is not None) == (skip + size < len(listed))


def test_a_cursor_goes_on_behind_a_page_that_was_skipped_to(stores: Stores) -> None:
    for number in range(1, 8):
        stores.turn(number, session_id=f"session-{number}")
    page = stores.conversations.sessions("acme", "ana", agent_id=None, size=2, skip=2)
    assert [session.id for session in page.sessions] == ["session-5", "session-4"]
    assert stores.session_ids(cursor=page.next_cursor) == ["session-3", "session-2", "session-1"]


@pytest.mark.parametrize("forged", ["x", "", "é", "AAAA", "=", "A" * 5_000, "run-1", "../.."])
def test_a_forged_cursor_is_refused(stores: Stores, forged: str) -> None:
    stores.turn()
    with pytest.raises(InvalidRequestError, match="cursor"):
        stores.conversations.sessions("acme", "ana", agent_id=None, size=2, cursor=forged)


def test_a_cursor_opens_no_other_users_list(stores: Stores) -> None:
    for number in range(1, 4):
        stores.turn(number, session_id=f"session-{number}")
    read = stores.conversations.sessions
    cursor = read("acme", "ana", agent_id=None, size=1, cursor=None).next_cursor
    assert cursor is not None
    for tenant, user in (("acme", "bob"), ("umbrella", "ana")):
        with pytest.raises(InvalidRequestError):
            read(tenant, user, agent_id=None, size=1, cursor=cursor)


def test_the_runs_of_a_session_are_the_oldest_first_whatever_their_state(
    stores: Stores,
) -> None:
    stores.turn(1)
    stores.turn(2, outcome=failed())
    stores.begin(3)
    stores.turn(4, session_id="another")
    keys = stores.conversations.run_keys("acme", SESSION)
    assert keys == [RunKey(tenant="acme", run_id=f"run-{number}") for number in (1, 2, 3)]


def test_a_deleted_session_is_gone_with_all_of_its_runs(stores: Stores) -> None:
    deleted = [stores.turn(number, text_of(5_000), completed(text_of(9_000))) for number in (1, 2)]
    stores.log.append(deleted[0].key, deltas(1, 3), at=AT)
    kept = stores.turn(3, session_id="kept")
    stores.conversations.delete("acme", SESSION)
    for run in deleted:
        with pytest.raises(RunNotFoundError):
            stores.runs.get(run.key)
        assert list(stores.log.read(run.key, after=0, at=AT)) == []
    with pytest.raises(SessionNotFoundError):
        stores.conversations.session("acme", SESSION)
    with pytest.raises(SessionNotFoundError):
        stores.conversations.delete("acme", SESSION)
    assert stores.session_ids() == ["kept"]
    assert stores.runs.get(kept.key).status is RunStatus.COMPLETED


def test_deleting_a_session_fences_its_live_run_off(stores: Stores) -> None:
    run = stores.begin()
    stores.conversations.delete("acme", SESSION)
    with pytest.raises(FencedError):
        stores.runs.heartbeat(run.key, EXECUTOR, lease_until=AT + timedelta(seconds=30))
    with pytest.raises(FencedError):
        stores.runs.finish(run.key, EXECUTOR, completed(), at=AT)
    stores.runs.release(run)
    with pytest.raises(SessionNotFoundError):
        stores.conversations.session("acme", SESSION)


def test_an_end_that_comes_after_the_deletion_leaves_nothing(stores: Stores) -> None:
    run, progress = stores.begin(), EndProgress()
    stores.conversations.delete("acme", SESSION)
    outcomes = (completed(text_of(900_000), messages=text_of(9_000)), paused(output=text_of(9_000)))
    for outcome in outcomes:
        with pytest.raises(FencedError):
            stores.runs.finish(run.key, EXECUTOR, outcome, at=AT, progress=progress)
        assert progress.stored == 0
        with pytest.raises(RunNotFoundError):
            stores.runs.get(run.key)
        with pytest.raises(RunNotFoundError):
            stores.runs.checkpoint(run.key)
    assert stores.conversations.turns("acme", SESSION, newest=None) == []


def test_a_try_of_a_start_that_comes_after_the_deletion_revives_nothing(
    stores: Stores,
) -> None:
    run = stores.begin()
    stores.conversations.delete("acme", SESSION)
    with pytest.raises(FencedError):
        stores.runs.start(run, a_request())
    with pytest.raises(RunNotFoundError):
        stores.runs.get_state(run.key)
    assert stores.runs.get_many([run.key], with_text=True) == {}
    with pytest.raises(SessionNotFoundError):
        stores.conversations.session("acme", SESSION)


def test_the_id_of_a_deleted_session_starts_afresh(stores: Stores) -> None:
    stores.begin(1, "before")
    stores.conversations.delete("acme", SESSION)
    stores.turn(2, "after", user_id="bob", agent_id="analyst")
    session = stores.conversations.session("acme", SESSION)
    assert (session.user_id, session.agent_id, session.title) == ("bob", "analyst", "after")
    turns = stores.conversations.turns("acme", SESSION, newest=None)
    assert [turn.input for turn in turns] == ["after"]
    assert stores.session_ids("ana") == []
