"""The stream and the status function on a real table, with faults between them and it."""

import asyncio
import importlib
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

import botocore.retries.quota
import botocore.retries.standard
import botocore.retryhandler
import pytest

from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.agents import Agent
from agentrun.domain.endings import Outcome
from agentrun.domain.events import ContentDelta, EngineEvent, Metrics
from agentrun.domain.ports import AgentDirectory, AgentEngine, AgentTask, TurnHost
from agentrun.domain.runs import AgentRun
from agentrun.domain.turns import TurnEnding
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.reading import follow as attach
from agentrun.service.starting import session_queue
from tests.contract.test_token_verifier import token
from tests.fakes.engine_outputs import say_all
from tests.fakes.faults import FaultyClient
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.integration.asgi_exchange import Exchange, begin
from tests.integration.conftest import ENVIRONMENT
from tests.tables import TABLE, client_of, create_table

QUICK = RecordingPace(flush_interval_s=0.01, heartbeat_interval_s=0.02, retry_pause_s=0.002)
UNHURRIED = RecordingPace(flush_interval_s=0.01, heartbeat_interval_s=60, retry_pause_s=0.002)
RUNS = "/api/agents/echo/runs"
TENANTS = count(1)
LAPSED = timedelta(seconds=18)
"""After that a lease has lapsed that is not renewed."""


class ShiftedClock:
    """The time, as much later as it is told to be, and passing as many times faster."""

    def __init__(self) -> None:
        self.reset()

    def reset(self, *, speed: int = 1) -> None:
        self._origin = SystemClock().now()
        self._steady_origin_s = SystemClock().steady_s()
        self._speed = speed
        self.ahead = timedelta()

    def now(self) -> datetime:
        return self._origin + (SystemClock().now() - self._origin) * self._speed + self.ahead

    def steady_s(self) -> float:
        passed_s = (SystemClock().steady_s() - self._steady_origin_s) * self._speed
        return passed_s + self.ahead.total_seconds()


class Recital:
    """An engine that says its texts, each once the one before may go; counts its runs."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts or ("a", "b")
        self.tasks: list[AgentTask] = []
        self.closed = 0
        self.gate = asyncio.Event()
        """Closed in front of the last text."""

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        return await say_all(self._outputs(task), host.say)

    async def _outputs(self, task: AgentTask) -> AsyncGenerator[EngineEvent, None]:
        self.tasks.append(task)
        try:
            *first, last = self.texts
            for text in first:
                yield ContentDelta(text=text)
            await self.gate.wait()
            yield ContentDelta(text=last)
            yield Metrics(total_tokens=7)
        finally:
            self.closed += 1


class Dictation:
    """An engine that says what it is given, until it is told to end."""

    def __init__(self) -> None:
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = 0

    def say(self, *texts: str | None) -> None:
        """Say these; None is the end."""
        for text in texts:
            self._texts.put_nowait(text)

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        return await say_all(self._outputs(task), host.say)

    async def _outputs(self, task: AgentTask) -> AsyncGenerator[EngineEvent, None]:
        try:
            while (text := await self._texts.get()) is not None:
                yield ContentDelta(text=text)
        finally:
            self.closed += 1


class Remaining:
    """Lambda's context of an invocation that may last so long."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


class Caller:
    """A tenant of its own on the two functions."""

    def __init__(self, app: "FaultyApp") -> None:
        self.app = app
        self.tenant = f"tenant-{next(TENANTS)}"
        self.key = "the-key"

    def start(self, *, remaining_s: float | None = None) -> Exchange:
        """Ask for a stream; always with the same Idempotency-Key."""
        headers = {"Idempotency-Key": self.key, "Content-Type": "application/json"}
        scope = {} if remaining_s is None else {"aws.context": Remaining(remaining_s)}
        return self._stream("POST", f"{RUNS}/stream", headers, b'{"message":"hi"}', **scope)

    def attach(self, run_id: str, cursor: int = 0) -> Exchange:
        return self._stream("GET", f"{RUNS}/{run_id}/stream", {"Last-Event-ID": str(cursor)})

    async def attach_by_ticket(self, run_id: str) -> Exchange:
        """Attach by a new ticket, as a browser does at the Function URL."""
        issued = await self._status("POST", f"{RUNS}/{run_id}/stream-ticket").complete()
        url = urlsplit(issued.json["url"])
        scope = {"aws.event": {"version": "2.0"}}
        return begin(self.app.stream.app, "GET", f"{url.path}?{url.query}", {}, b"", **scope)

    def _stream(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b"", **scope: Any
    ) -> Exchange:
        bearer = {"Authorization": f"Bearer {token(org=self.tenant, roles=[])}"}
        return begin(self.app.stream.app, method, path, bearer | headers, body, **scope)

    def poll(self, run_id: str) -> Exchange:
        return self._status("GET", f"{RUNS}/{run_id}")

    def poll_many(self, run_ids: Sequence[str]) -> Exchange:
        query = urlencode({"runIds": ",".join(run_ids)})
        return self._status("GET", f"{RUNS}/status?{query}")

    def cancel(self, run_id: str) -> Exchange:
        return self._status("DELETE", f"{RUNS}/{run_id}")

    def _status(self, method: str, target: str) -> Exchange:
        identity = {
            "userId": "ana",
            "orgId": self.tenant,
            "scope": "runs:read runs:write",
            "roles": "",
            "exp": str(int(time.time()) + 600),
        }
        event = {"requestContext": {"authorizer": identity}}
        scope = {"aws.event": event}
        return begin(self.app.status.app, method, target, {}, b"", **scope)

    def stored_runs(self) -> list[str]:
        """Return the ids of all of the tenant's runs in the table."""
        pages = self.app.table.get_paginator("scan").paginate(
            TableName=TABLE,
            FilterExpression="begins_with(pk, :tenant) AND sk = :header",
            ExpressionAttributeValues={
                ":tenant": {"S": f"ORG#{self.tenant}#RUN#"},
                ":header": {"S": "RUN"},
            },
            ProjectionExpression="pk",
        )
        return [i["pk"]["S"].rpartition("#")[2] for page in pages for i in page["Items"]]


class Tried:
    """The port `AgentDirectory`: the catalog's agents, executed as often as a test says."""

    def __init__(self, catalog: AgentDirectory) -> None:
        self._catalog = catalog
        self.attempts = 1

    def agents(self) -> Sequence[Agent]:
        return [self.agent(agent.id) for agent in self._catalog.agents()]

    def agent(self, agent_id: str) -> Agent:
        agent = self._catalog.agent(agent_id)
        return agent.model_copy(update={"max_attempts": self.attempts})


class FaultyApp:
    """Both functions as they are deployed, the engine, the pace and the waits excepted."""

    def __init__(self, stream: Any, status: Any) -> None:
        self.stream, self.status = stream, status
        self.executor = FaultyClient(stream.client)
        self.reader = FaultyClient(status.client)
        self.table = client_of(stream.client.meta.endpoint_url)
        self.outcomes: list[Outcome | None] = []
        self.readers_clock, self.executors_clock = ShiftedClock(), ShiftedClock()
        self.queue = InMemoryRunQueue()
        self._agents = Tried(stream.ports.agents)
        runs = replace(stream.runs, clock=self.executors_clock, queue=self.queue)
        self._executors_ports = replace(stream.ports, runs=runs, agents=self._agents)
        stream.routes.ports = replace(stream.runs, clock=self.readers_clock, queue=self.queue)
        # Its routes hold the ports that they were made with.
        object.__setattr__(status.ports, "clock", self.readers_clock)
        object.__setattr__(status.ports, "queue", self.queue)

    def caller(
        self, engine: AgentEngine, pace: RecordingPace = QUICK, *, attempts: int = 1
    ) -> Caller:
        """
        Make the stream function run this engine, for a tenant without any runs yet.

        Args:
            engine: The engine.
            pace: How often it writes.
            attempts: How often a run is executed whose executors are lost.
        """
        self._agents.attempts = attempts
        self.queue.sent.clear()
        # moto copies the whole table for each transaction.
        self.table.delete_table(TableName=TABLE)
        create_table(self.table)
        self.outcomes.clear()
        for clock in (self.readers_clock, self.executors_clock):
            clock.reset()
        self.stream.routes.launcher = RunLauncher(
            engine, self._executors_ports, LauncherSettings(on_ended=self._ended, pace=pace)
        )
        return Caller(self)

    async def kill(self) -> None:
        """Let the process die: what it executes breaks off, and its leases lapse."""
        tasks = list(self.stream.routes.launcher._executing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.pass_time(LAPSED)

    def pass_time(self, time: timedelta) -> None:
        for clock in (self.readers_clock, self.executors_clock):
            clock.ahead += time

    def _ended(self, _run: AgentRun, outcome: Outcome | None) -> None:
        self.outcomes.append(outcome)


@contextmanager
def faulty_app(url: str) -> Iterator[FaultyApp]:
    """Run the functions on the table at a URL; nothing waits longer than it must."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL_DYNAMODB": url}).items():
            patch.setenv(name, value)
        # All attempts are made, without the pauses between them.
        patch.setattr(botocore.retryhandler, "delay_exponential", lambda **_: 0)
        backoff = botocore.retries.standard.ExponentialBackoff
        patch.setattr(backoff, "delay_amount", lambda *_: 0)
        # The client shares one allowance of retries among all tests.
        patch.setattr(botocore.retries.quota.RetryQuota, "acquire", lambda *_: True)
        patch.setattr(session_queue, "STORE_AGAIN_AFTER_S", (0, 0))
        patch.setattr(attach, "SHORTEST_PAUSE_S", 0.005)
        patch.setattr(attach, "LONGEST_PAUSE_S", 0.01)
        app = asyncio.run(_loaded())
        yield app
        # An open connection holds up the server's end.
        for client in (app.stream.client, app.status.client, app.table):
            client.close()


async def _loaded() -> FaultyApp:
    # Mangum makes an event loop at import and leaves it open, unless one is running.
    modules = [importlib.import_module(f"functions.{name}.app") for name in ("stream", "status")]
    return FaultyApp(*(importlib.reload(module) for module in modules))
