"""The two functions as deployed, each in its own processes, and the door to them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request

from agentrun.domain.errors import AgentrunError
from agentrun.domain.ports import AgentTask, ConversationStore
from agentrun.domain.principal import Principal
from agentrun.http.middleware import KeptInvocations
from agentrun.http.problems import HANDLERS
from agentrun.http.run_routes import RunRoutes
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots
from agentrun.service.starting.start_run import LaunchPorts
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.fakes.in_memory_readers import InMemoryReaderQuota
from tests.rig import Agents, AnyWebhook, NoPrices
from tests.simulation.exchange import ConnectionLostError, Exchange
from tests.simulation.gateways import through
from tests.simulation.ledger import Ledger
from tests.simulation.process import LONGEST_INVOCATION_S, Process
from tests.simulation.scripts import ScriptPlayer
from tests.simulation.storage import Storage
from tests.simulation.virtual_time import ProcessLoop
from tests.simulation.world import World

T = TypeVar("T")
MOST_PROCESSES = 6
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


class SlowMedia:
    """The port `MediaLoader`, with slow downloads."""

    def __init__(self, world: World, loop: ProcessLoop) -> None:
        self._world = world
        self._loop = loop

    async def load(self, urls: Mapping[str, str]) -> Mapping[str, bytes]:
        waited = self._loop.create_future()
        self._loop.call_later(self._world.random.uniform(0, 9.5), waited.set_result, None)
        await waited
        return dict.fromkeys(urls, PNG)


@dataclass
class Context:
    """What Lambda says about an invocation."""

    world: World
    ends_at: float

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends_at - self.world.now) * 1000)


class StreamProcess(Process):
    """A process of the stream function."""

    def __init__(self, world: World, name: str, site: "Site") -> None:
        super().__init__(world, name)
        ids = count(1)
        self.number = int(name.rpartition("-")[2])
        runs, stores = site.ports(self), site.storage.of(self)

        def new_id() -> str:
            return str(UUID(int=(self.number << 64) + next(ids), version=4))

        self.player = ScriptPlayer(
            site.ledger.scripts, self, is_changed=lambda: world.random.random() < 0.03
        )
        ports = LaunchPorts(
            agents=Agents(),
            conversations=site.gate(self, stores.conversations),
            media_loader=SlowMedia(world, self.loop),
            runs=runs,
            slots=RunSlots(site.gate(self, stores.quota), runs),
            readers=ReaderPlaces(InMemoryReaderQuota(0), runs, new_id),
            objects=InMemoryLargeObjects(),
            arguments=self.player,
            prices=NoPrices(),
            webhooks=AnyWebhook(),
            new_id=new_id,
            approval_expiry=site.approval_expiry,
        )
        self.ledger = site.ledger
        self.ledger.loops[name] = self.loop
        self.launcher = RunLauncher(
            self.player, ports, LauncherSettings(on_ended=lambda run, end: None)
        )
        self.on_stop = self.launcher.stop
        self.app = KeptInvocations(
            Starlette(
                routes=RunRoutes(self.launcher, runs, _caller_of, ping_after_s=10.0).routes(),
                exception_handlers={kind: _at_once(handler) for kind, handler in HANDLERS.items()},
            )
        )

    # The witness of the engine.

    def began(self, task: AgentTask) -> str:
        executor = next(
            execution._pending.lease.executor
            for execution in self.launcher._executing.values()
            if execution.run.id == task.run_id
            and execution._pending.task.resumption is task.resumption
        )
        self.ledger.turn_begins(task, executor, self.name)
        return executor

    def acts(self, task: AgentTask, executor: str, call: str) -> None:
        self.ledger.tool_begins(task, executor, call, self)

    def under_way(self) -> list[str]:
        """Return the runs that this process is executing."""
        return [execution.run.id for execution in self.launcher._executing.values()]


def _at_once(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Answer on the loop: Starlette would use a thread, outside of virtual time."""

    async def answer(request: Request, error: Exception) -> Any:
        return handler(request, error)

    return answer


async def _caller_of(request: Request) -> Principal:
    name = request.headers["authorization"]
    return Principal(tenant="acme", user_id=name, scopes=frozenset({"runs:write"}))


@dataclass
class Site:
    """All processes, and how to reach them."""

    world: World
    storage: Storage
    ledger: Ledger
    clients: ProcessLoop
    approval_expiry: timedelta

    def __post_init__(self) -> None:
        self.streams: list[StreamProcess] = []
        self.statuses: list[Process] = []
        self._names = count(1)

    def gate(self, process: Process, port: T) -> T:
        return through(self.world, process, port, self.ledger, is_open=self.storage.is_open)

    def ports(self, process: Process) -> RunPorts:
        stores = self.storage.of(process)
        return RunPorts(
            self.gate(process, stores.runs),
            self.gate(process, stores.log),
            self.gate(process, stores.journal),
            InMemoryRunQueue(),
            process.threads,
            process.clock,
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        user: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        by_url: bool = False,
    ) -> Exchange:
        """Send a request to the stream function, in a process of Lambda's choice."""
        process = self._stream_process()
        exchange = Exchange(self.clients)
        given = {"authorization": user, "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "https",
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
            "aws.context": Context(self.world, self.world.now + LONGEST_INVOCATION_S),
            "aws.event": {},
        }
        sent = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

        async def receive() -> Any:
            if sent:
                return sent.pop()
            return await process.loop.create_future()

        async def serve() -> None:
            await process.app(scope, receive, exchange.send)

        def end() -> None:
            exchange.end()
            self.ledger.request_ends(process.name, f"{method} {path}", process.under_way())

        process.invoke(serve, on_end=end, on_broken=exchange.break_off)
        return exchange

    def _stream_process(self) -> StreamProcess:
        self.streams = [process for process in self.streams if not process.is_dead]
        free = [process for process in self.streams if process.is_free]
        if free and (len(self.streams) >= MOST_PROCESSES or self.world.random.random() < 0.7):
            return self.world.random.choice(free)
        process = StreamProcess(self.world, f"stream-{next(self._names)}", self)
        self.streams.append(process)
        return process

    async def status(self, call: Callable[[RunPorts, ConversationStore], T]) -> T:
        """
        Call the status function, which answers with a service's result or error.

        Raises:
            ConnectionLostError: The process has ended.
            AgentrunError: As the service raises.
        """
        self.statuses = [process for process in self.statuses if not process.is_dead]
        free = [process for process in self.statuses if process.is_free]
        process = self.world.random.choice(free) if free else self._status_process()
        ports = self.ports(process)
        conversations = self.gate(process, self.storage.of(process).conversations)
        answer = self.clients.create_future()

        async def serve() -> None:
            begin = process.threads.begin
            try:
                result = await begin(process.loop, lambda: call(ports, conversations))
            except AgentrunError as error:
                self._resolve(answer, error)
            except Exception as error:  # noqa: BLE001 - a 500, which nobody is promised
                self.ledger.breach("a_service_fails_as_it_says", repr(error))
                self._resolve(answer, ConnectionLostError())
            else:
                self._resolve(answer, result)

        def broken() -> None:
            self._resolve(answer, ConnectionLostError())

        process.invoke(serve, on_end=lambda: None, on_broken=broken)
        found = await answer
        if isinstance(found, BaseException):
            raise found
        return found  # type: ignore[no-any-return]

    @staticmethod
    def _resolve(answer: Any, found: object) -> None:
        if not answer.done():
            answer.set_result(found)

    def _status_process(self) -> Process:
        process = Process(self.world, f"status-{next(self._names)}")
        self.statuses.append(process)
        return process
