"""Readers that send their request again go on with the run that they have begun."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import JsonValue

from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import (
    ConflictError,
    ForbiddenError,
    StoreUnavailableError,
    TooManyRunsError,
)
from agentrun.domain.events import ContentDelta, EventType, PendingApproval
from agentrun.domain.principal import Principal
from agentrun.domain.quotas import RunLimits
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.follow import RunFollower
from agentrun.service.reading.result import RunStream
from agentrun.service.starting import reconnect
from agentrun.service.starting.start_run import Idempotency, Reader
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.rig import ANA, NO_LIMITS, WRITE, Rig, read_all, types
from tests.runs import AT, EXECUTOR, SESSION, a_queued_run, a_request, a_run, deltas

pytestmark = pytest.mark.anyio

HELLO: JsonValue = {"message": "hello"}
PAUSE = TurnPaused(
    state="{}",
    pending=(PendingApproval(id="c1", tool="order", tool_name="order", arguments={}),),
)
LAST = 4
"""START, one delta, METRICS and STOP."""
MINUTES = 60


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconnect, "LOOK_AGAIN_AFTER_S", 0.005)
        patch.setattr(reconnect, "STORED_AFTER_S", 0.05)
        patch.setattr(reconnect, "SILENT_AFTER_S", 60)
        yield


class ReconnectRig(Rig):
    """Runs of one delta each, and readers that lose them."""

    def __init__(self, *script: Item, limits: RunLimits = NO_LIMITS) -> None:
        super().__init__(limits)
        self.engine = ScriptedEngine(script or [ContentDelta(text="a")])
        self.here = self.launcher(self.engine)

    async def post(
        self,
        cursor: int | None = None,
        body: Any = HELLO,
        *,
        key: str | None = None,
        caller: Principal = ANA,
        agent: str = "echo",
        policy: SessionPolicy = SessionPolicy.REJECT,
    ) -> RunStream:
        return await self.here.begin(
            caller,
            agent,
            RunRequest.model_validate(body),
            idempotency=Idempotency(key=key, body=body) if key else None,
            reader=Reader(body=body, cursor=cursor),
            policy=policy,
            deadline=None,
        )

    async def whole(self, **sent: Any) -> AgentRun:
        """Begin a run that is new, and read it to its end."""
        return (await self.begun(**sent))[0]

    async def begun(self, cursor: int | None = None, **sent: Any) -> tuple[AgentRun, list[Any]]:
        stream = await self.post(cursor, **sent)
        assert isinstance(stream, RunExecution)
        return stream.run, await read_all(stream)

    async def again(self, cursor: int, **sent: Any) -> RunFollower:
        stream = await self.post(cursor, **sent)
        assert isinstance(stream, RunFollower)
        assert stream.is_replay
        return stream

    def begun_elsewhere(self, run: AgentRun, body: Any = HELLO) -> AgentRun:
        """Store a run whose executor is another process."""
        fingerprint = Reader(body=body).fingerprint(run.agent_id)
        lock = self.conversations.lock(run.org_id, run.session_id)
        self.store.start(run, a_request(), seen=lock, fingerprint=fingerprint)
        return run


async def rest(stream: RunFollower) -> list[int]:
    return [event.id for event in await read_all(stream)]


async def test_a_run_that_has_ended_is_replayed_from_the_cursor() -> None:
    rig = ReconnectRig()
    run = await rig.whole()
    for cursor in range(1, LAST):
        again = await rig.again(cursor)
        assert (again.run.id, again.has_nothing_left) == (run.id, False)
        assert await rest(again) == list(range(cursor + 1, LAST + 1))
    assert (await rig.again(LAST)).has_nothing_left
    assert list(rig.store.runs) == [run.key]


@pytest.mark.parametrize("cursor", [None, 0, LAST + 1])
async def test_a_cursor_that_the_run_has_not_had_begins_a_new_one(cursor: int | None) -> None:
    rig = ReconnectRig()
    first = await rig.whole()
    second = await rig.whole(cursor=cursor)
    assert second.id != first.id


@pytest.mark.parametrize(
    "sent",
    [
        {"body": {"message": "hello", "x": 1}},
        {"body": {"message": "hello", "userId": "ana"}},
        {"caller": ANA.model_copy(update={"user_id": "bob"})},
        {"caller": ANA.model_copy(update={"tenant": "umbrella"})},
        {"caller": ANA.model_copy(update={"user_id": "root", "roles": frozenset({"admin"})})},
        {
            "agent": "guarded",
            "caller": ANA.model_copy(update={"scopes": WRITE | {"agents:guarded"}}),
        },
    ],
    ids=["field", "user id", "user", "tenant", "admin", "agent"],
)
async def test_anything_else_than_the_same_request_begins_a_new_run(sent: dict[str, Any]) -> None:
    rig = ReconnectRig()
    first = await rig.whole()
    assert (await rig.whole(cursor=2, **sent)).id != first.id


async def test_a_backend_goes_on_with_the_run_of_its_user() -> None:
    rig = ReconnectRig()
    backend = ANA.model_copy(update={"scopes": WRITE | {"runs:impersonate"}})
    body = {"message": "hello", "userId": "bob"}
    run = await rig.whole(body=body, caller=backend)
    assert (await rig.again(2, body=body, caller=backend)).run.id == run.id
    with pytest.raises(ForbiddenError):
        await rig.post(2, body)


async def test_a_reader_needs_the_scope_of_its_first_request() -> None:
    rig = ReconnectRig()
    await rig.whole()
    with pytest.raises(ForbiddenError):
        await rig.post(2, caller=ANA.model_copy(update={"scopes": frozenset({"runs:read"})}))


@pytest.mark.parametrize("kind", ["with a key", "answered once"])
async def test_only_streams_without_a_key_are_recognised(kind: str) -> None:
    rig = ReconnectRig()
    request = RunRequest.model_validate(HELLO)
    sent: dict[str, Any] = {
        "reader": Reader(body=HELLO),
        "idempotency": Idempotency(key="k", body=HELLO),
    }
    if kind == "answered once":
        sent = {}
    first = await rig.here.begin(ANA, "echo", request, deadline=None, **sent)
    assert isinstance(first, RunExecution)
    await read_all(first)
    assert (await rig.whole(cursor=2)).id != first.run.id


async def test_the_newest_of_equal_requests_is_gone_on_with() -> None:
    rig = ReconnectRig()
    await rig.whole()
    rig.clock.advance(1)
    newest = await rig.whole()
    assert (await rig.again(2)).run.id == newest.id


async def test_the_newest_is_passed_over_if_only_an_older_one_has_had_the_event() -> None:
    rig = ReconnectRig()
    texts = [ContentDelta(text=str(number)) for number in range(9)]
    rig.here = rig.launcher(ScriptedEngine(texts))
    long = await rig.whole()
    rig.clock.advance(1)
    rig.here = rig.launcher(ScriptedEngine(texts[:1]))
    await rig.whole()
    assert (await rig.again(9)).run.id == long.id


async def test_a_run_is_recognised_for_a_quarter_of_an_hour_after_its_end() -> None:
    rig = ReconnectRig()
    run = await rig.whole()
    rig.clock.advance(15 * MINUTES)
    assert (await rig.again(LAST)).run.id == run.id
    rig.clock.advance(1)
    assert (await rig.whole(cursor=LAST)).id != run.id


@pytest.mark.parametrize("is_written_down", [True, False])
async def test_a_dead_run_has_ended_whether_somebody_has_looked_or_not(
    is_written_down: bool,
) -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    rig.clock.advance(15 * MINUTES + 14)
    if is_written_down:
        assert (await rig.again(1)).run.status is RunStatus.FAILED
    rig.clock.advance(2)
    assert (await rig.whole(cursor=1)).id != run.id


async def test_a_run_under_way_is_recognised_however_long_it_takes() -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    rig.clock.advance(20 * MINUTES)
    lease = rig.clock.now() + timedelta(seconds=9)
    rig.store.heartbeat(run.key, EXECUTOR, lease_until=lease)
    assert (await rig.again(1)).run.id == run.id


async def test_a_live_run_is_followed_from_the_cursor() -> None:
    gate = asyncio.Event()
    rig = ReconnectRig(ContentDelta(text="a"), gate, ContentDelta(text="b"))
    first = await rig.post()
    assert isinstance(first, RunExecution)
    await read_all(first, until=lambda event: event.id == 2)
    again = await rig.again(2)
    reading = asyncio.create_task(rest(again))
    gate.set()
    assert await reading == [3, 4, 5]
    assert len(rig.engine.tasks) == 1


async def test_an_event_that_is_about_to_be_stored_is_waited_for() -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    looking = asyncio.create_task(rig.again(5))
    await asyncio.sleep(0)
    rig.log.append(run.key, deltas(2, 5), at=AT)
    assert (await looking).run.id == run.id


async def test_what_a_silent_executor_may_have_said_it_has_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconnect, "SILENT_AFTER_S", 0.1)
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    async with asyncio.timeout(20):
        assert (await rig.again(5)).run.id == run.id


async def test_what_a_live_executor_does_not_store_it_has_not_said() -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    rig.log.append(run.key, deltas(2, 4), at=AT)
    looking = asyncio.create_task(rig.whole(cursor=5))
    for second in range(1, 10_000):
        if looking.done():
            break
        until = AT + timedelta(seconds=15, milliseconds=second)
        rig.store.heartbeat(run.key, EXECUTOR, lease_until=until)
        await asyncio.sleep(0.01)
    assert (await looking).id != run.id


async def test_no_run_has_had_an_event_beyond_the_gap_of_a_lost_executor() -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    assert (await rig.whole(cursor=EVENT_ID_GAP + 2)).id != run.id


async def test_a_queued_run_is_one_that_has_said_start() -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_queued_run())
    assert (await rig.again(1)).run.id == run.id


async def test_a_run_whose_executor_is_gone_is_settled() -> None:
    rig = ReconnectRig()
    run = rig.begun_elsewhere(a_run())
    rig.log.append(run.key, deltas(2, 3), at=AT)
    rig.clock.advance(60)
    again = await rig.again(9)
    assert again.run.status is RunStatus.FAILED
    assert await rest(again) == [3 + EVENT_ID_GAP]
    assert (await rig.again(3 + EVENT_ID_GAP)).has_nothing_left


async def test_a_paused_run_is_over_until_it_is_continued_or_cancelled() -> None:
    rig = ReconnectRig(ContentDelta(text="a"), PAUSE)
    run = await rig.whole()
    assert rig.store.get(run.key).status is RunStatus.PAUSED
    assert (await rig.again(LAST)).has_nothing_left
    rig.here = rig.launcher(ScriptedEngine([], resumed=[ContentDelta(text="b")]))
    decision = ContinueRequest(action=ApprovalAction.APPROVE)
    paused = rig.store.get(run.key)
    await read_all(await rig.here.resume(ANA, paused, decision, deadline=None))
    again = await rig.again(LAST)
    assert await rest(again) == [5, 6, 7, 8]
    assert list(rig.store.runs) == [run.key]


async def test_cancelling_a_paused_run_adds_cancelled_alone() -> None:
    rig = ReconnectRig(ContentDelta(text="a"), PAUSE)
    run = await rig.whole()
    rig.store.request_cancel(run.key, at=AT)
    again = await rig.again(LAST)
    assert types(await read_all(again)) == [EventType.CANCELLED]
    assert (await rig.again(LAST + 1)).has_nothing_left


async def test_a_busy_session_refuses_new_runs_only() -> None:
    rig = ReconnectRig()
    body = {"message": "hello", "sessionId": SESSION}
    run = rig.begun_elsewhere(a_run(), body)
    assert (await rig.again(1, body=body)).run.id == run.id
    for policy in SessionPolicy:
        assert (await rig.again(1, body=body, policy=policy)).run.id == run.id
    assert rig.store.get(run.key).cancel_requested is False
    with pytest.raises(ConflictError):
        await rig.post(body=body)


async def test_a_limit_refuses_new_runs_only() -> None:
    gate = asyncio.Event()
    rig = ReconnectRig(gate, limits=RunLimits(runs_per_user=1))
    first = await rig.post()
    assert (await rig.again(1)).run.id == first.run.id
    with pytest.raises(TooManyRunsError):
        await rig.post()
    gate.set()
    assert isinstance(first, RunExecution)
    await read_all(first)


@pytest.mark.parametrize(("session", "is_found"), [({}, True), ({"sessionId": SESSION}, False)])
async def test_only_the_index_is_looked_at_twice(session: dict[str, str], is_found: bool) -> None:
    rig = ReconnectRig()
    body = {"message": "hello", **session}
    run = await rig.whole(body=body)
    looks = rig.conversations.before("runs_of_request", lambda *_, **__: None)
    rig.conversations.around("runs_of_request", lambda *_, **__: [], times=1)
    assert ((await rig.post(2, body)).run.id == run.id) is is_found
    assert looks.hits == is_found


async def test_nothing_is_started_while_it_cannot_be_told_what_was_sent_before() -> None:
    rig = ReconnectRig()
    rig.conversations.fails("runs_of_request")
    with pytest.raises(StoreUnavailableError):
        await rig.post(2)
    assert rig.store.runs == {}


async def test_with_a_key_the_replay_begins_after_the_cursor() -> None:
    rig = ReconnectRig()
    run = await rig.whole(key="k")
    assert await rest(await rig.again(2, key="k")) == [3, 4]
    assert await rest(await rig.again(0, key="k")) == [1, 2, 3, 4]
    for cursor in (LAST, LAST + 9):
        assert (await rig.again(cursor, key="k")).has_nothing_left
    assert list(rig.store.runs) == [run.key]


async def test_a_key_that_is_new_begins_a_run_from_its_start_whatever_the_cursor() -> None:
    rig = ReconnectRig()
    await rig.whole()
    _, events = await rig.begun(2, key="k")
    assert [event.id for event in events] == [1, 2, 3, 4]


async def test_a_request_is_the_same_in_a_session_as_it_names_it() -> None:
    rig = ReconnectRig()
    body = {"message": "hello", "sessionId": SESSION}
    run = await rig.whole(body=body)
    assert run.session_id == str(UUID(SESSION))
    assert (await rig.again(2, body=body)).run.id == run.id
    assert (await rig.whole(cursor=2, body=HELLO)).id != run.id
