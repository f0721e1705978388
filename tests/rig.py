"""Everything that a service needs to start, execute, continue and read runs, in memory."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.endings import Outcome
from agentrun.domain.errors import AgentNotFoundError
from agentrun.domain.events import EventType, RecordedEvent
from agentrun.domain.media import MediaLoader
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.principal import Principal
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.turns import Resumption
from agentrun.service.executing.execution import RunExecution
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.reading.result import RunStream
from agentrun.service.starting.slots import RunSlots, slot_of
from agentrun.service.starting.start_run import APPROVAL_EXPIRY, LaunchPorts, PendingExecution
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_conversations import InMemoryConversations
from tests.fakes.in_memory_journal import InMemoryRunJournal
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.fakes.in_memory_readers import InMemoryReaderQuota
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, a_request, a_run

QUICK = RecordingPace(flush_interval_s=0.005, heartbeat_interval_s=0.01, retry_pause_s=0.001)
PATIENT = RecordingPace(flush_interval_s=60, heartbeat_interval_s=60, retry_pause_s=0.001)
NO_LIMITS = RunLimits(runs_per_user=0, runs_per_tenant=0)
WRITE = frozenset({"runs:write"})
ANA = Principal(tenant="acme", user_id="ana", scopes=WRITE)
ECHO = Agent(
    id="echo",
    name="Echo",
    description="Echoes",
    model="demo",
    models=("demo", "bedrock:x"),
    media=("image/png",),
    max_attempts=1,
)
LASTING = ECHO.model_copy(update={"id": "lasting", "max_attempts": 3})
GUARDED = ECHO.model_copy(update={"id": "guarded", "required_scope": "agents:guarded"})
RETIRED = ECHO.model_copy(update={"id": "retired", "active": False})


class Agents:
    """The port `AgentDirectory`: one is guarded, one inactive, one outlasts its executors."""

    def agents(self) -> list[Agent]:
        return [ECHO, GUARDED, LASTING, RETIRED]

    def agent(self, agent_id: str) -> Agent:
        for agent in self.agents():
            if agent.id == agent_id:
                return agent
        raise AgentNotFoundError(agent_id)


class Whole:
    """The port `ArgumentChecker` for tools that take whole numbers only."""

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        wrong = [name for name, value in arguments.items() if not isinstance(value, int)]
        return [(name, "must be a whole number") for name in wrong]


class NoPrices:
    """The port `PriceList` where no model has a price."""

    def knows(self, model_id: str) -> bool:
        return False


class AnyWebhook:
    """The port `WebhookGuard` that lets every URL pass."""

    async def check(self, url: str) -> None:
        return


class NoMedia:
    """The port `MediaLoader` where nobody may download anything."""

    async def load(self, urls: object) -> dict[str, bytes]:
        raise AssertionError(f"nothing was to be downloaded: {urls}")


class Rig:
    """Stores, clock and ports, wired as the functions wire them; ids are `id-1`, `id-2`, …"""

    def __init__(self, limits: RunLimits = NO_LIMITS, *, max_readers: int = 0) -> None:
        self.log = InMemoryEventLog(longest_pause=APPROVAL_EXPIRY)
        self.store = InMemoryRunStore(self.log)
        self.conversations = InMemoryConversations(self.store)
        self.clock = FixedClock(AT)
        self.ended: list[Outcome | None] = []
        self._ids = count(1)
        self.journal = InMemoryRunJournal(self.store)
        self.queue = InMemoryRunQueue()
        self.objects = InMemoryLargeObjects()
        self.runs = RunPorts(
            self.store, self.log, self.journal, self.queue, ThreadPoolExecutor(1), self.clock
        )
        self.quota = InMemoryRunQuota(limits)
        self.readers = InMemoryReaderQuota(max_readers)
        self._readers = count(1)
        media_loader: MediaLoader = NoMedia()
        self.ports = LaunchPorts(
            agents=Agents(),
            conversations=self.conversations,
            media_loader=media_loader,
            runs=self.runs,
            slots=RunSlots(self.quota, self.runs),
            readers=ReaderPlaces(self.readers, self.runs, lambda: f"{next(self._readers):08}"),
            objects=self.objects,
            arguments=Whole(),
            prices=NoPrices(),
            webhooks=AnyWebhook(),
            new_id=lambda: f"id-{next(self._ids)}",
        )

    def launcher(self, engine: AgentEngine, pace: RecordingPace = QUICK) -> RunLauncher:
        settings = LauncherSettings(on_ended=lambda _, end: self.ended.append(end), pace=pace)
        return RunLauncher(engine, self.ports, settings)

    def execution(
        self,
        engine: AgentEngine,
        *,
        run: AgentRun | None = None,
        pace: RecordingPace = PATIENT,
        resumption: Resumption | None = None,
    ) -> RunExecution:
        """Return an execution of a run that is stored already."""
        run = run or a_run()
        task = AgentTask(
            run_id=run.id,
            session_id=run.session_id,
            tenant=run.org_id,
            user_id=run.user_id,
            agent=ECHO,
            message="hello",
            resumption=resumption,
        )
        pending = PendingExecution(
            run=run,
            task=task,
            request=a_request(),
            slot=slot_of(run),
            ports=self.ports,
        )
        return RunExecution(pending, engine=engine, pace=pace)

    def logged(self, key: RunKey) -> list[RecordedEvent]:
        return list(self.log.read(key, after=0, at=self.clock.now()))


class StartedRig(Rig):
    """A started run that is to be executed, and what its reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.streamed: list[RecordedEvent] = []
        self.store.start(a_run(), a_request())

    async def run(
        self, engine: AgentEngine, pace: RecordingPace = PATIENT, **options: Any
    ) -> Outcome | None:
        execution = self.execution(engine, pace=pace)
        executing = asyncio.create_task(execution.execute(**options))
        async for batch in execution.batches(idle_s=60):
            self.streamed += batch
        return await executing

    @property
    def types(self) -> list[EventType]:
        return types(self.streamed)

    @property
    def written(self) -> list[RecordedEvent]:
        return self.logged(a_run().key)

    @property
    def stored(self) -> AgentRun:
        return self.store.get(a_run().key)


def types(events: Sequence[RecordedEvent]) -> list[EventType]:
    """Return the types of the events."""
    return [recorded.event.event for recorded in events]


async def read_all(
    stream: RunStream, until: Callable[[RecordedEvent], bool] = lambda _: False
) -> list[RecordedEvent]:
    """Read a stream to its end, or up to the first event for which `until` is true."""
    read: list[RecordedEvent] = []
    async for batch in stream.batches(idle_s=60):
        read += batch
        if any(until(event) for event in batch):
            break
    return read
