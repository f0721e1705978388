"""Runs in the background: nobody streams them, and a queue sees to them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import ConflictError, StoreUnavailableError
from agentrun.domain.events import ContentDelta
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import LEASE_DURATION, Lease, RunKey, RunStatus
from agentrun.service.reading.runs import cancel_run, get_run
from agentrun.service.starting.continue_run import paused_run
from agentrun.service.starting.start_run import Idempotency
from agentrun.service.worker import (
    HELD_FOR,
    LAPSED_AFTER,
    LOOK_AT_SESSION_AFTER,
    RunWorker,
)
from tests.rig import ANA, types
from tests.runs import SESSION
from tests.unit.core.service.lost_rig import LAPSED_S, FakeMessage, LostRig
from tests.unit.core.service.pause_rig import APPROVE, PAUSE

pytestmark = pytest.mark.anyio


def a_rig(*, limits: RunLimits | None = None) -> tuple[LostRig, asyncio.Event]:
    gate = asyncio.Event()
    return LostRig([ContentDelta(text="a"), gate], limits=limits or RunLimits(0, 0)), gate


def messages(rig: LostRig) -> list[RunKey]:
    """Take what was sent from the queue."""
    sent, rig.queue.sent = rig.queue.sent, []
    return [key for key, _ in sent]


async def test_a_run_is_queued_and_executed_by_a_worker() -> None:
    rig, gate = a_rig(limits=RunLimits(runs_per_user=1))
    key = await rig.enqueue()
    assert rig.state(key).status is RunStatus.QUEUED
    assert messages(rig) == [key]
    gate.set()
    assert await rig.work(key)
    run = rig.state(key)
    assert (run.status, run.output, run.attempt) == (RunStatus.COMPLETED, "a", 1)
    assert rig.quota.held == set()
    events = await rig.attached(key)
    assert types(events) == ["START", "CONTENT_DELTA", "METRICS", "STOP"]
    assert messages(rig) == []


async def test_a_message_that_comes_twice_executes_a_run_once() -> None:
    rig, gate = a_rig()
    key = await rig.enqueue()
    working = asyncio.create_task(rig.work(key))
    await asyncio.sleep(0.02)
    assert await rig.work(key)
    gate.set()
    assert await working
    assert await rig.work(key)
    assert len(rig.engine.tasks) == 1


async def test_a_message_of_a_dead_worker_comes_again_and_the_run_goes_on() -> None:
    rig, gate = a_rig()
    key = await rig.enqueue()
    working = asyncio.create_task(rig.work(key))
    await asyncio.sleep(0.02)
    working.cancel()
    await rig.kill(rig.second)
    rig.clock.advance(LAPSED_S)
    gate.set()
    assert await rig.work(key)
    assert (rig.state(key).status, rig.state(key).attempt) == (RunStatus.COMPLETED, 2)


async def test_a_run_that_cannot_be_queued_is_refused_and_cancelled() -> None:
    rig, _ = a_rig(limits=RunLimits(runs_per_user=1))
    rig.queue.fails("send")
    with pytest.raises(StoreUnavailableError):
        await rig.enqueue()
    (run,) = rig.store.runs.values()
    assert run.status is RunStatus.CANCELLED
    assert rig.quota.held == set()


async def test_a_queued_run_whose_message_was_lost_is_asked_for_by_its_reader() -> None:
    rig, gate = a_rig()
    key = await rig.enqueue()
    messages(rig)
    gate.set()
    get_run(ANA, "lasting", key.run_id, ports=rig.runs)
    (asked,) = messages(rig)
    assert await rig.work(asked)
    assert rig.state(key).status is RunStatus.COMPLETED


async def test_a_session_that_is_busy_is_waited_for_without_a_worker() -> None:
    rig, gate = a_rig()
    first = await rig.enqueue(sessionId=str(SESSION))
    with pytest.raises(ConflictError):
        await rig.enqueue(sessionId=str(SESSION))
    second = await rig.enqueue(SessionPolicy.ENQUEUE, sessionId=str(SESSION))
    messages(rig)
    working = asyncio.create_task(rig.work(first))
    await asyncio.sleep(0.02)
    assert await rig.work(second)
    assert rig.queue.sent == [(second, LOOK_AT_SESSION_AFTER)]
    # Another copy of the message, and a reader: one message goes round.
    assert await rig.work(second)
    get_run(ANA, "lasting", second.run_id, ports=rig.runs)
    assert messages(rig) == [second]
    gate.set()
    assert await working
    # Who leaves the session asks for the next one at once.
    assert rig.queue.sent == [(second, timedelta())]
    assert await rig.work(second)
    assert rig.state(second).status is RunStatus.COMPLETED
    assert len(rig.engine.tasks) == 2


async def test_a_queued_run_that_is_cancelled_is_not_executed() -> None:
    rig, _ = a_rig(limits=RunLimits(runs_per_user=1))
    key = await rig.enqueue()
    cancel_run(ANA, "lasting", key.run_id, ports=rig.runs)
    assert await rig.work(key)
    assert rig.state(key).status is RunStatus.CANCELLED
    assert rig.engine.tasks == []
    assert rig.quota.held == set()


async def test_a_request_that_is_repeated_gets_its_run() -> None:
    rig, _ = a_rig()
    key = Idempotency(key="k", body={"message": "hello"})
    request = rig.request()
    first = await rig.first.enqueue(ANA, "lasting", request, idempotency=key)
    again = await rig.first.enqueue(ANA, "lasting", request, idempotency=key)
    assert again.key == first.key
    assert again.pending is None
    # The first message may never have been sent.
    assert messages(rig) == [first.key, first.key]


async def test_a_request_with_a_key_that_was_not_queued_is_queued_once_it_is_repeated() -> None:
    rig, gate = a_rig()
    key, request = Idempotency(key="k", body={"message": "hello"}), rig.request()
    rig.queue.fails("send")
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await rig.first.enqueue(ANA, "lasting", request, idempotency=key)
    rig.queue.works()
    again = await rig.first.enqueue(ANA, "lasting", request, idempotency=key)
    assert messages(rig) == [again.key]
    gate.set()
    assert await rig.work(again.key)
    assert rig.state(again.key).status is RunStatus.COMPLETED
    await rig.first.enqueue(ANA, "lasting", request, idempotency=key)
    assert messages(rig) == []


async def test_a_run_that_a_reader_has_taken_over_keeps_a_message_in_the_queue() -> None:
    rig, gate = a_rig()
    key = await rig.enqueue()
    working = asyncio.create_task(rig.work(key))
    await asyncio.sleep(0.02)
    working.cancel()
    await rig.kill(rig.second)
    rig.clock.advance(LAPSED_S)
    messages(rig)
    reading = asyncio.create_task(rig.attached(key))
    await rig.until(lambda: rig.state(key).attempt == 2)
    assert await rig.work(key)
    ((again, delay),) = rig.queue.sent
    assert again == key
    assert timedelta(seconds=10) < delay <= LAPSED_AFTER
    gate.set()
    await reading


async def test_a_worker_that_has_lost_its_run_to_a_reader_keeps_the_message() -> None:
    rig, gate = a_rig()
    key = await rig.enqueue()
    rig.store.fails("heartbeat")
    working = asyncio.create_task(rig.work(key))
    await rig.until(lambda: len(rig.engine.tasks) == 1)
    rig.clock.advance(LAPSED_S)
    seen = rig.store.get_state(key)
    reader = Lease(executor="reader", until=rig.clock.now() + LEASE_DURATION)
    rig.journal.take_over(seen, reader, at=rig.clock.now())
    gate.set()
    assert not await working


async def test_an_outage_does_not_use_a_message_up() -> None:
    rig, gate = a_rig()
    gate.set()
    message = FakeMessage(await rig.enqueue())
    rig.store.fails("get_state")
    for message.received in range(1, 20):
        assert not await rig.worker.work(message, deadline=None)
    pauses = [kept for kept in message.kept if kept != HELD_FOR]
    assert pauses[:3] == [HELD_FOR * 2, HELD_FOR * 4, HELD_FOR * 8]
    assert sum(pauses, timedelta()) > timedelta(hours=2)
    rig.store.works()
    assert await rig.work(message.key)
    assert rig.state(message.key).status is RunStatus.COMPLETED


async def test_a_continued_run_keeps_a_message_in_the_queue() -> None:
    gate = asyncio.Event()
    rig = LostRig([PAUSE], resumed=[ContentDelta(text="b"), gate])
    key = await rig.enqueue()
    assert await rig.work(key)
    assert messages(rig) == [key]
    paused = await paused_run(ANA, rig.agent, key.run_id, rig.runs)
    await rig.first.resume(ANA, paused, APPROVE, deadline=None)
    assert rig.queue.sent == [(key, timedelta(seconds=LAPSED_S - 1))]
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    gate.set()
    assert await rig.work(key)
    assert (rig.state(key).status, rig.state(key).attempt) == (RunStatus.COMPLETED, 2)


async def test_a_continuation_that_no_worker_could_look_for_leaves_its_pause() -> None:
    rig = LostRig([PAUSE])
    key = await rig.enqueue()
    assert await rig.work(key)
    paused = await paused_run(ANA, rig.agent, key.run_id, rig.runs)
    rig.queue.fails("send")
    with pytest.raises(StoreUnavailableError):
        await rig.first.resume(ANA, paused, APPROVE, deadline=None)
    assert rig.state(key).status is RunStatus.PAUSED


async def test_a_worker_that_never_began_a_run_leaves_no_events_to_the_one_that_does() -> None:
    """Both would give them the same ids."""
    gate = asyncio.Event()
    gate.set()
    rig = LostRig([ContentDelta(text="a"), gate], agent="echo")
    key = await rig.enqueue()
    cannot_begin, cannot_live = rig.store.fails("begin_queued"), rig.store.fails("heartbeat")
    working = asyncio.create_task(rig.work(key))
    await rig.until(lambda: cannot_begin.hits > 0 and cannot_live.hits > 0)
    rig.clock.advance(LAPSED_S)
    await working
    assert rig.state(key).status is RunStatus.QUEUED
    assert [event.id for event in rig.log.read(key, after=0, at=rig.clock.now())] in ([], [1])
    rig.store.works()
    assert await rig.work(key)
    assert rig.state(key).status is RunStatus.COMPLETED
    assert types(await rig.attached(key)) == ["START", "CONTENT_DELTA", "METRICS", "STOP"]


async def test_a_run_in_the_background_knows_its_conversation() -> None:
    rig, gate = a_rig()
    gate.set()
    for message in ("first", "second"):
        assert await rig.work(await rig.enqueue(sessionId=str(SESSION), message=message))
    (earlier,) = rig.engine.tasks[-1].history
    assert earlier.input == "first"


async def test_no_run_begins_before_its_message_is_kept_from_others() -> None:
    rig, gate = a_rig()
    gate.set()
    key = await rig.enqueue()
    may_go_on = threading.Event()

    class SlowMessage(FakeMessage):
        def keep_for(self, time: timedelta) -> bool:
            may_go_on.wait(5)
            return super().keep_for(time)

    # A second thread, so that nothing waits for the queue's answer by chance.
    runs = replace(rig.runs, threads=ThreadPoolExecutor(2))
    worker = RunWorker(rig.second, replace(rig.ports, runs=runs))
    working = asyncio.create_task(worker.work(SlowMessage(key), deadline=None))
    await asyncio.sleep(0.05)
    assert (rig.state(key).status, rig.engine.tasks) == (RunStatus.QUEUED, [])
    may_go_on.set()
    assert await working
    assert rig.state(key).status is RunStatus.COMPLETED


async def test_a_message_that_comes_while_its_worker_seems_to_live_leaves_one_behind() -> None:
    """The lease of a worker that has died may end a moment later than its message is hidden."""
    rig, gate = a_rig()
    key = await rig.enqueue()
    working = asyncio.create_task(rig.work(key))
    await rig.until(lambda: len(rig.engine.tasks) == 1)
    working.cancel()
    await rig.kill(rig.second)
    messages(rig)
    for _ in range(2):
        assert await rig.work(key)
    assert rig.queue.sent == [(key, LAPSED_AFTER)]
    rig.clock.advance(LAPSED_AFTER.total_seconds())
    gate.set()
    assert await rig.work(key)
    assert (rig.state(key).status, rig.state(key).attempt) == (RunStatus.COMPLETED, 2)
