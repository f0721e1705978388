"""The functions as deployed, each in its own processes, and the doors to them."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from agentrun.domain.agents import Agent
from agentrun.domain.errors import AgentrunError
from agentrun.domain.ports import ConversationStore
from agentrun.service.ports import RunPorts, invocation_kept
from tests.simulation.agents.directory import an_agent
from tests.simulation.exchange import ConnectionLostError, Exchange
from tests.simulation.executing_process import ExecutingProcess
from tests.simulation.gateways import through
from tests.simulation.ledger import Ledger
from tests.simulation.process import LONGEST_INVOCATION_S, Process
from tests.simulation.queue import Held, SimulatedQueue
from tests.simulation.storage import Storage
from tests.simulation.virtual_time import ProcessLoop, StuckError
from tests.simulation.world import World

T = TypeVar("T")
MOST_PROCESSES = 6
MOST_WORKERS = 3


@dataclass
class Context:
    """What Lambda says about an invocation."""

    world: World
    ends_at: float

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends_at - self.world.now) * 1000)


@dataclass
class Site:
    """All processes, and how to reach them."""

    world: World
    storage: Storage
    ledger: Ledger
    clients: ProcessLoop
    approval_expiry: timedelta
    agent: Agent = field(default_factory=lambda: an_agent(attempts=3))
    longest_s: float = LONGEST_INVOCATION_S
    most_workers: int = MOST_WORKERS
    copies: Callable[[], int] = lambda: 1
    """How often the queue delivers the next message."""

    def __post_init__(self) -> None:
        self.streams: list[ExecutingProcess] = []
        self.workers: list[ExecutingProcess] = []
        self.statuses: list[Process] = []
        self._names = count(1)
        # As in the template: a message is hidden for as long as its function may take.
        self.queue = SimulatedQueue(
            self.world, self._work, hidden_s=self.longest_s, copies=self.copies
        )

    @property
    def processes(self) -> list[Process]:
        """All that were begun and may live."""
        return [*self.streams, *self.workers, *self.statuses]

    def unwind(self) -> None:
        """Unwind everything that is left, with a store that is away for good."""
        self.world.is_over = True
        for process in self.processes:
            process.kill()
        timeline = self.world.timeline
        tasks = [task for loop in timeline.every_loop for task in loop.tasks if not task.done()]
        for loop in timeline.every_loop:
            loop.revive()
        for task in tasks:
            task.cancel()
        with suppress(StuckError):
            timeline.run(
                lambda: all(task.done() for task in tasks), until=self.world.now + 600, turns=50_000
            )
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()

    @staticmethod
    def number_of(name: str) -> int:
        """Return the number in a process's name, which no other has."""
        return int(name.rpartition("-")[2])

    def gate(self, process: Process, port: T) -> T:
        return through(self.world, process, port, self.ledger, is_open=self.storage.is_open)

    def ports(self, process: Process) -> RunPorts:
        stores = self.storage.of(process)
        return RunPorts(
            self.gate(process, stores.runs),
            self.gate(process, stores.log),
            self.gate(process, stores.journal),
            through(self.world, process, self.queue, self.ledger),
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
            "aws.context": Context(self.world, self.world.now + process.longest_s),
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

    def _stream_process(self) -> ExecutingProcess:
        self.streams = [process for process in self.streams if not process.is_dead]
        free = [process for process in self.streams if process.is_free]
        if free and (len(self.streams) >= MOST_PROCESSES or self.world.random.random() < 0.7):
            return self.world.random.choice(free)
        process = ExecutingProcess(self.world, f"stream-{next(self._names)}", self)
        self.streams.append(process)
        return process

    def _work(self, held: Held) -> bool:
        """Hand a message to a worker, if one is free or may be begun."""
        self.workers = [process for process in self.workers if not process.is_dead]
        free = [process for process in self.workers if process.is_free]
        if not free:
            if len(self.workers) >= self.most_workers:
                return False
            name = f"worker-{next(self._names)}"
            free = [ExecutingProcess(self.world, name, self)]
            self.workers += free
        process = self.world.random.choice(free)
        message = through(self.world, process, held, self.ledger)

        async def serve() -> None:
            deadline = process.clock.now() + timedelta(seconds=process.longest_s)
            try:
                async with invocation_kept():
                    is_done = await process.worker.work(message, deadline=deadline)
            except Exception as error:  # noqa: BLE001 - a message that nobody can work off
                self.ledger.breach("a_worker_fails_as_it_says", repr(error))
            else:
                held.done(is_done=is_done)

        def end() -> None:
            what = f"message {held.message.number}"
            self.ledger.request_ends(process.name, what, process.under_way())

        process.invoke(serve, on_end=end, on_broken=lambda: None)
        return True

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
