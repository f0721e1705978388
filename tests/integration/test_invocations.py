"""Whatever becomes of a request that has begun an execution: its invocation outlasts that."""

import asyncio
import json
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.domain.endings import Outcome
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.events import ContentDelta, Metrics, PendingApproval
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.launcher import LauncherSettings, RunLauncher
from tests.fakes.hooks import Hookable
from tests.fakes.scripted_engine import ScriptedEngine
from tests.integration.asgi_exchange import until
from tests.integration.conftest import AppModule, Bearer
from tests.rig import QUICK

pytestmark = pytest.mark.anyio

RUNS = "/api/agents/echo/runs"
CALL = PendingApproval(id="c1", tool="order", tool_name="order", arguments={})
APPROVED = {"decision": "APPROVED"}


class HookedStore(Hookable, DynamoRunStore):
    """The real store, whose methods a test may fail."""


class Door:
    """The stream function's own app, and in which order answers and executions end."""

    def __init__(self, stream: ModuleType, bearer: Bearer) -> None:
        self.stream = stream
        self.gate = asyncio.Event()
        self.engine = ScriptedEngine(
            [ContentDelta(text="Asking. "), TurnPaused(pending=(CALL,), state="s")],
            resumed=[ContentDelta(text="Done."), self.gate, Metrics(total_tokens=7)],
        )
        settings = LauncherSettings(on_ended=self._ended, pace=QUICK)
        stream.routes.launcher = RunLauncher(self.engine, stream.ports, settings)
        self.store = HookedStore(stream.table)
        """The one that answers are read from; executions have another."""
        stream.routes.ports = replace(stream.runs, store=self.store)
        self.order: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.send_fault: Exception | None = None
        self.has_left = False
        self._bearer = bearer()

    def _ended(self, _run: AgentRun, _outcome: Outcome | None) -> None:
        self.order.append("ended")

    async def ask(
        self, path: str, body: object, *, method: str = "POST", accept: str = "*/*"
    ) -> None:
        """Make one request; what the app raises is its server's to log."""
        requests = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            await until(lambda: self.has_left, "the client's leaving")
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if self.send_fault is not None:
                self.gate.set()
                raise self.send_fault
            self.sent.append(message)

        headers = self._bearer | {"Content-Type": "application/json", "Accept": accept}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        try:
            await self.stream.app(scope, receive, send)
        except (OSError, RuntimeError):
            pass
        finally:
            self.order.append("answered")

    async def pause(self) -> AgentRun:
        await self.ask(RUNS, {"message": "buy"})
        key = RunKey(tenant="acme", run_id=self.answer["runId"])
        self.sent.clear()
        self.order.clear()
        run: AgentRun = self.stream.runs.store.get_state(key)
        assert run.status is RunStatus.PAUSED
        return run

    async def resolve(self, run: AgentRun) -> None:
        assert run.required_action is not None
        await self.ask(f"/api/v1/approvals/{run.required_action.approval_id}/resolve", APPROVED)

    async def has_continued(self) -> None:
        await until(lambda: len(self.engine.tasks) == 2, "the continuation")

    @property
    def answer(self) -> Any:
        return json.loads(b"".join(message.get("body", b"") for message in self.sent))


@pytest.fixture
async def door(app_module: AppModule, bearer: Bearer) -> Door:
    return Door(app_module("stream"), bearer)


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), RuntimeError("a bug")])
async def test_a_read_that_fails_after_the_run_went_on_leaves_no_execution_behind(
    door: Door, error: Exception
) -> None:
    run = await door.pause()
    loop = asyncio.get_running_loop()
    door.store.fails("get", error=error)
    door.store.before("get", lambda *_: loop.call_soon_threadsafe(door.gate.set))
    await door.resolve(run)
    await until(lambda: "ended" in door.order, "the execution's end")
    assert door.order == ["ended", "answered"]


async def test_what_has_begun_is_not_answered_as_if_it_had_not(door: Door) -> None:
    run = await door.pause()
    door.store.fails("get")
    door.gate.set()
    await door.resolve(run)
    assert door.sent[0]["status"] == 200
    body = door.answer
    assert (body["id"], body["status"], body["version"]) == (run.id, "RUNNING", run.version + 1)


async def test_an_answer_that_cannot_be_sent_leaves_no_execution_behind(door: Door) -> None:
    run = await door.pause()
    door.send_fault = OSError("the connection is gone")
    await door.resolve(run)
    await until(lambda: "ended" in door.order, "the execution's end")
    assert door.order == ["ended", "answered"]


async def test_a_reader_that_leaves_leaves_no_execution_behind(door: Door) -> None:
    run = await door.pause()
    path = f"{RUNS}/{run.id}/continue"
    body = {"action": "APPROVE"}
    asking = asyncio.create_task(door.ask(path, body, accept="text/event-stream"))
    await until(lambda: len(door.sent) > 1, "the first events")
    door.has_left = True
    # Its stream is over once it has been told; nothing of it is left to wait for.
    await asyncio.wait({asking}, timeout=0.2)
    door.gate.set()
    await asking
    await until(lambda: "ended" in door.order, "the execution's end")
    assert door.order == ["ended", "answered"]


async def test_a_request_that_is_cancelled_leaves_no_execution_behind(door: Door) -> None:
    run = await door.pause()
    asking = asyncio.create_task(door.ask(f"{RUNS}/{run.id}/continue", {"action": "APPROVE"}))
    await door.has_continued()
    asking.cancel()
    door.gate.set()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: "ended" in door.order, "the execution's end")
    assert (door.order, door.engine.cancelled) == (["ended", "answered"], 0)


async def test_a_follower_waits_for_nobody(door: Door) -> None:
    run = await door.pause()
    asking = asyncio.create_task(door.ask(f"{RUNS}/{run.id}/continue", {"action": "APPROVE"}))
    await door.has_continued()
    door.has_left = True
    await door.ask(f"{RUNS}/{run.id}/stream", None, method="GET")
    assert door.order == ["answered"]
    door.gate.set()
    await asking
