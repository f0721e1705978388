"""A process that executes runs, with everything in it as it is deployed."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request

from agentrun.domain.ports import AgentTask
from agentrun.domain.principal import Principal
from agentrun.http.middleware import KeptInvocations
from agentrun.http.problems import HANDLERS
from agentrun.http.run_routes import RunRoutes
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots
from agentrun.service.starting.start_run import LaunchPorts
from agentrun.service.worker import RunWorker
from tests.fakes.in_memory_readers import InMemoryReaderQuota
from tests.fakes.in_memory_tickets import InMemoryStreamTickets
from tests.rig import AnyWebhook, NoPrices
from tests.simulation.agents.directory import OneAgent
from tests.simulation.agents.player import ScriptPlayer
from tests.simulation.gateways import through
from tests.simulation.process import Process
from tests.simulation.virtual_time import ProcessLoop
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.functions import Site

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


class ExecutingProcess(Process):
    """A process that executes runs: one of the stream function, or of the worker."""

    def __init__(self, world: World, name: str, site: "Site") -> None:
        super().__init__(world, name, longest_s=site.longest_s)
        ids = count(1)
        self.number = site.number_of(name)
        runs, stores = site.ports(self), site.storage.of(self)

        def new_id() -> str:
            return str(UUID(int=(self.number << 64) + next(ids), version=4))

        self.player = ScriptPlayer(
            site.ledger.scripts, self, is_changed=lambda: world.random.random() < 0.03
        )
        ports = LaunchPorts(
            agents=OneAgent(site.agent),
            conversations=site.gate(self, stores.conversations),
            media_loader=SlowMedia(world, self.loop),
            runs=runs,
            slots=RunSlots(site.gate(self, stores.quota), runs),
            readers=ReaderPlaces(InMemoryReaderQuota(0), runs, new_id),
            objects=through(world, self, site.storage.objects, site.ledger),
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
        self.worker = RunWorker(self.launcher, ports)
        tickets = InMemoryStreamTickets()
        routes = RunRoutes(self.launcher, runs, _caller_of, tickets, ping_after_s=10.0)
        self.app = KeptInvocations(
            Starlette(
                routes=routes.routes(),
                exception_handlers={kind: _at_once(handler) for kind, handler in HANDLERS.items()},
            )
        )

    # The witness of the engine.

    def began(self, task: AgentTask) -> str:
        executor = next(
            execution._pending.lease.executor
            for execution in reversed(self.launcher._executing.values())
            if execution.run.id == task.run_id and execution._pending.task.steps is task.steps
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
