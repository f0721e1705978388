"""Starts that take long, are tried again, or find that they had succeeded and it is over."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from agentrun.domain.errors import RunNotFoundError, StoreUnavailableError
from agentrun.domain.events import ContentDelta, EventType
from agentrun.domain.quotas import RunLimits
from agentrun.domain.requests import Media, RunRequest
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.runs import settled_state
from agentrun.service.starting.start_run import Idempotency, start_run
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, Rig, read_all, types
from tests.runs import SESSION

pytestmark = pytest.mark.anyio

REQUEST = RunRequest(message="hello", session_id=UUID(SESSION))
PICTURE = RunRequest(message="look", media=(Media(type="image/png", data="https://a.example/i"),))


class SlowMedia:
    """The port `MediaLoader` for a slow server."""

    def __init__(self, rig: Rig) -> None:
        self._shop = rig

    async def load(self, urls: Any) -> dict[str, bytes]:
        self._shop.clock.advance(9.5)
        return dict.fromkeys(urls, b"\x89PNG\r\n\x1a\n")


class LossyRig(Rig):
    """A rig whose first tries of a start are lost on their way, or their replies are."""

    def __init__(self) -> None:
        super().__init__(RunLimits())
        self.engine = ScriptedEngine([ContentDelta(text="a")])

    def lose(
        self, times: int, *, is_applied: bool, then: Callable[[AgentRun], object] = lambda _: None
    ) -> None:
        """Let the next tries time out after 3 s; `then` is what happens before the next one."""

        def lossy(start: Callable[..., str], run: AgentRun, *args: Any, **kwargs: Any) -> str:
            if is_applied:
                start(run, *args, **kwargs)
            self.clock.advance(3)
            then(run)
            raise StoreUnavailableError("timed out")

        self.store.around("start", lossy, times=times)

    def declare_dead(self, run: AgentRun) -> None:
        self.clock.advance(20)
        assert settled_state(run.key, self.runs).status is RunStatus.FAILED

    def delete_session(self, run: AgentRun) -> None:
        self.conversations.delete(run.org_id, run.session_id)

    async def begin(self, idempotency: Idempotency | None = None) -> Any:
        return await self.launcher(self.engine).begin(
            ANA, "echo", REQUEST, idempotency=idempotency, deadline=None
        )


@pytest.fixture
def rig() -> LossyRig:
    return LossyRig()


async def test_a_run_that_was_slow_to_start_is_alive_when_it_is_first_polled(rig: LossyRig) -> None:
    object.__setattr__(rig.ports, "media_loader", SlowMedia(rig))
    rig.lose(2, is_applied=False)
    started = await start_run(ANA, "echo", PICTURE, ports=rig.ports)
    assert started.pending is not None
    rig.clock.advance(3)
    polled = settled_state(started.key, rig.runs)
    assert (polled.status, polled.error_type) == (RunStatus.RUNNING, None)


async def test_a_start_has_the_lease_that_is_stored(rig: LossyRig) -> None:
    rig.lose(1, is_applied=True)
    started = await start_run(ANA, "echo", REQUEST, ports=rig.ports)
    assert started.pending is not None
    stored = rig.store.get(started.key)
    assert started.pending.run.lease == stored.lease
    assert stored.lease is not None
    assert stored.lease.until == rig.clock.now() + timedelta(seconds=15)


async def test_a_start_that_was_declared_dead_before_it_knew_is_followed(rig: LossyRig) -> None:
    rig.lose(1, is_applied=True, then=rig.declare_dead)
    stream = await rig.begin()
    assert not isinstance(stream, RunExecution)
    assert types(await read_all(stream)) == [EventType.START, EventType.ERROR]
    assert rig.engine.tasks == []


async def test_a_start_that_was_cancelled_before_it_knew_is_followed(rig: LossyRig) -> None:
    def cancel(run: AgentRun) -> None:
        rig.store.request_cancel(run.key, at=rig.clock.now())
        rig.declare_dead(run)

    rig.lose(1, is_applied=True, then=cancel)
    assert not isinstance(await rig.begin(), RunExecution)
    assert rig.engine.tasks == []


@pytest.mark.parametrize("key", [None, Idempotency(key="k", body={"message": "hello"})])
async def test_a_start_never_says_start_of_a_run_that_is_not_there(
    rig: LossyRig, key: Idempotency | None
) -> None:
    rig.lose(1, is_applied=True, then=rig.delete_session)
    try:
        stream = await rig.begin(key)
    except RunNotFoundError:
        assert rig.store.runs == {}
        return
    assert stream.run.key in rig.store.runs
    await read_all(stream)


async def test_a_keyed_start_whose_session_was_deleted_meanwhile_is_404(rig: LossyRig) -> None:
    rig.lose(1, is_applied=True, then=rig.delete_session)
    with pytest.raises(RunNotFoundError):
        await rig.begin(Idempotency(key="k", body={"message": "hello"}))
    assert rig.engine.tasks == []
    assert rig.quota.held == set()


async def test_a_slot_is_given_back_whatever_has_become_of_the_lease(rig: LossyRig) -> None:
    rig.lose(1, is_applied=True)
    stream = await rig.begin()
    await read_all(stream)
    await asyncio.sleep(0)
    assert rig.store.get(RunKey(tenant="acme", run_id=stream.run.id)).status.is_terminal
    assert rig.quota.held == set()
