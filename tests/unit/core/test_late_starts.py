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
from agentrun.service.run_execution import RunExecution
from agentrun.service.run_status import settled_state
from agentrun.service.start_run import Idempotency, start_run
from tests.fakes.scripted_engine import ScriptedEngine
from tests.runs import SESSION
from tests.workshop import ANA, Workshop, read_all, types

pytestmark = pytest.mark.anyio

REQUEST = RunRequest(message="hello", session_id=UUID(SESSION))
PICTURE = RunRequest(message="look", media=(Media(type="image/png", data="https://a.example/i"),))


class SlowMedia:
    """The port `MediaLoader` for a slow server."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def load(self, urls: Any) -> dict[str, bytes]:
        self._shop.clock.advance(9.5)
        return dict.fromkeys(urls, b"\x89PNG\r\n\x1a\n")


class Late(Workshop):
    """A workshop whose first tries of a start are lost on their way, or their replies are."""

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
def late() -> Late:
    return Late()


async def test_a_run_that_was_slow_to_start_is_alive_when_it_is_first_polled(late: Late) -> None:
    object.__setattr__(late.ports, "media_loader", SlowMedia(late))
    late.lose(2, is_applied=False)
    started = await start_run(ANA, "echo", PICTURE, ports=late.ports)
    assert started.new is not None
    late.clock.advance(3)
    polled = settled_state(started.key, late.runs)
    assert (polled.status, polled.error_type) == (RunStatus.RUNNING, None)


async def test_a_start_has_the_lease_that_is_stored(late: Late) -> None:
    late.lose(1, is_applied=True)
    started = await start_run(ANA, "echo", REQUEST, ports=late.ports)
    assert started.new is not None
    stored = late.store.get(started.key)
    assert started.new.run.lease == stored.lease
    assert stored.lease is not None
    assert stored.lease.until == late.clock.now() + timedelta(seconds=15)


async def test_a_start_that_was_declared_dead_before_it_knew_is_followed(late: Late) -> None:
    late.lose(1, is_applied=True, then=late.declare_dead)
    stream = await late.begin()
    assert not isinstance(stream, RunExecution)
    assert types(await read_all(stream)) == [EventType.START, EventType.ERROR]
    assert late.engine.tasks == []


async def test_a_start_that_was_cancelled_before_it_knew_is_followed(late: Late) -> None:
    def cancel(run: AgentRun) -> None:
        late.store.request_cancel(run.key, at=late.clock.now())
        late.declare_dead(run)

    late.lose(1, is_applied=True, then=cancel)
    assert not isinstance(await late.begin(), RunExecution)
    assert late.engine.tasks == []


@pytest.mark.parametrize("key", [None, Idempotency(key="k", body={"message": "hello"})])
async def test_a_start_never_says_start_of_a_run_that_is_not_there(
    late: Late, key: Idempotency | None
) -> None:
    late.lose(1, is_applied=True, then=late.delete_session)
    try:
        stream = await late.begin(key)
    except RunNotFoundError:
        assert late.store.runs == {}
        return
    assert stream.run.key in late.store.runs
    await read_all(stream)


async def test_a_keyed_start_whose_session_was_deleted_meanwhile_is_404(late: Late) -> None:
    late.lose(1, is_applied=True, then=late.delete_session)
    with pytest.raises(RunNotFoundError):
        await late.begin(Idempotency(key="k", body={"message": "hello"}))
    assert late.engine.tasks == []
    assert late.quota.held == set()


async def test_a_slot_is_given_back_whatever_has_become_of_the_lease(late: Late) -> None:
    late.lose(1, is_applied=True)
    stream = await late.begin()
    await read_all(stream)
    await asyncio.sleep(0)
    assert late.store.get(RunKey(tenant="acme", run_id=stream.run.id)).status.is_terminal
    assert late.quota.held == set()
