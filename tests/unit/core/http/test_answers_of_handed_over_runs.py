"""A request that waits for a run's result gets it from whatever executor brings it to its end."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from agentrun.domain.events import ContentDelta
from agentrun.domain.principal import Principal
from agentrun.http.problems import HANDLERS
from agentrun.http.run_routes import RunRoutes
from tests.fakes.in_memory_tickets import InMemoryStreamTickets
from tests.rig import ANA
from tests.unit.core.service.lost_rig import LostRig

pytestmark = pytest.mark.anyio


class Remaining:
    """Lambda's context of an invocation that may last so long from each question on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


async def _ana(_request: Request) -> Principal:
    return ANA


def client_of(rig: LostRig, *, lasts_s: float) -> httpx.AsyncClient:
    routes = RunRoutes(rig.first, rig.runs, _ana, InMemoryStreamTickets(), ping_after_s=10)
    api = Starlette(routes=routes.routes(), exception_handlers=HANDLERS)

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await api({**scope, "aws.context": Remaining(lasts_s)}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def rig(gate: asyncio.Event) -> LostRig:
    return LostRig([ContentDelta(text="a"), gate, ContentDelta(text="b")])


async def test_a_run_that_is_handed_over_is_answered_once_it_has_ended(
    rig: LostRig, gate: asyncio.Event
) -> None:
    async with client_of(rig, lasts_s=60) as client:
        asking = asyncio.create_task(
            client.post("/api/agents/lasting/runs", json={"message": "hello"})
        )
        await rig.until(lambda: bool(rig.engine.tasks))
        await rig.first.stop()
        gate.set()
        ((key, _),) = rig.queue.sent
        assert await rig.work(key)
        answer = await asking
    assert answer.status_code == 200
    assert answer.json()["content"] == "ab"


async def test_a_run_that_lasts_longer_than_an_answer_may_goes_on(
    rig: LostRig, gate: asyncio.Event
) -> None:
    async with client_of(rig, lasts_s=2.1) as client:
        answer = await client.post("/api/agents/lasting/runs", json={"message": "hello"})
    (run,) = rig.store.runs.values()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["runId"] == run.id
    gate.set()
