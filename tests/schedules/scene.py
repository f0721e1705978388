"""Fresh stores with a clock, the processes that use them, and what was observed."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal, Protocol

import boto3
from botocore.config import Config
from moto import mock_aws

from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.errors import NotFoundError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.ports import AgentEngine, ConversationStore, EventLog, RunStore
from agentrun.domain.runs import AgentRun, Lease, RunKey
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots
from agentrun.service.starting.start_run import LaunchPorts
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_conversations import InMemoryConversations
from tests.fakes.in_memory_journal import InMemoryRunJournal
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.fakes.in_memory_readers import InMemoryReaderQuota
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.rig import NO_LIMITS, Agents, AnyWebhook, NoMedia, NoPrices, Whole
from tests.runs import AT
from tests.schedules.instant import InPlace
from tests.schedules.stage import Stage
from tests.schedules.stepped import SteppedPort, SteppedRequests
from tests.schedules.touches import EVERYTHING, Touches
from tests.tables import TABLE, create_table, stored_table

PACE = RecordingPace()
RETENTION = timedelta(hours=24)
BEGINNINGS = frozenset({"start", "resume", "begin_continuation", "begin_queued", "take_over"})
"""Writes by which an executor learns that it may begin."""


@dataclass(frozen=True)
class Happened:
    """One event of the scene, in order: what happened, by which actor, to which run."""

    what: Literal["wrote", "acted", "told", "cancelled", "deleted", "refused", "began"]
    actor: str
    run_id: str
    run: AgentRun | None = None
    call: str = ""
    at_s: float = 0.0


@dataclass
class Heard:
    """A stream, as far as its reader received it; `cursor` is where it began."""

    actor: str
    run_id: str
    kind: Literal["live", "replay"]
    cursor: int = 0
    events: list[RecordedEvent] = field(default_factory=list)


class Stores(Protocol):
    """The ports of a scene, and how to empty them."""

    granularity: str

    def fresh(self, current: Callable[[], Stage | None]) -> tuple[Any, Any, Any, Any]:
        """Return run store, event log, conversation store and journal, all empty."""
        ...

    def steps_are_calls(self) -> bool: ...

    def items(self) -> list[Mapping[str, Any]]:
        """Return all items, if the stores have items."""
        ...

    def expire(self, now_s: float) -> None:
        """Delete what has outlived its `ttl`, if the stores have one."""
        ...

    def remembered(self, name: str, build: Callable[[], None]) -> None:
        """Fill the empty stores as `build` does, or did before."""
        ...


class MemoryStores:
    """The fakes: a step is one call of a port."""

    granularity = "calls"

    def fresh(self, current: Callable[[], Stage | None]) -> tuple[Any, Any, Any, Any]:
        log = InMemoryEventLog()
        store = InMemoryRunStore(log)
        return store, log, InMemoryConversations(store), InMemoryRunJournal(store)

    def steps_are_calls(self) -> bool:
        return True

    def items(self) -> list[Mapping[str, Any]]:
        return []

    def expire(self, now_s: float) -> None:
        return

    def remembered(self, name: str, build: Callable[[], None]) -> None:
        build()


class DynamoStores:
    """The adapters on moto: a step is one request to DynamoDB."""

    granularity = "requests"

    def __init__(self) -> None:
        self._current: Callable[[], Stage | None] = lambda: None
        self._memories: dict[str, Any] = {}
        # Each attempt is a step, and the caller has to cope with its fault.
        config = Config(retries={"total_max_attempts": 1})
        self.client = boto3.client("dynamodb", region_name="eu-west-1", config=config)
        create_table(self.client)
        SteppedRequests(self.client, self._stage)

    def fresh(self, current: Callable[[], Stage | None]) -> tuple[Any, Any, Any, Any]:
        self._current = current
        stored_table().items.clear()
        table = Table(self.client, TABLE)
        log = DynamoEventLog(table, longest_pause=RETENTION)
        journal = DynamoRunJournal(table, longest_pause=RETENTION)
        return DynamoRunStore(table), log, DynamoConversationStore(table), journal

    def remembered(self, name: str, build: Callable[[], None]) -> None:
        if name not in self._memories:
            build()
            self._memories[name] = copy.deepcopy(stored_table().items)
        stored_table().items = copy.deepcopy(self._memories[name])

    def _stage(self) -> Stage | None:
        return self._current()

    def steps_are_calls(self) -> bool:
        return False

    def items(self) -> list[Mapping[str, Any]]:
        return list(self.client.scan(TableName=TABLE)["Items"])

    def expire(self, now_s: float) -> None:
        """Delete what has outlived its `ttl`."""
        for partition in stored_table().items.values():
            for key, item in list(partition.items()):
                ttl = item.attrs.get("ttl")
                if ttl is not None and float(ttl.value) < now_s:
                    del partition[key]


@contextmanager
def dynamo_stores() -> Iterator[DynamoStores]:
    with mock_aws():
        yield DynamoStores()


class Scene:
    """Stores, clock and processes of one schedule, and everything observed."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.clock = FixedClock(AT)
        self.happened: list[Happened] = []
        self.heard: list[Heard] = []
        self.leases: list[tuple[str, float]] = []
        self._stage: Stage | None = None
        store, log, conversations, journal = stores.fresh(lambda: self._stage)
        self.queue = InMemoryRunQueue()
        self.store: RunStore = store
        self.log: EventLog = log
        self.conversations: ConversationStore = conversations
        self._stepped = [
            SteppedPort(port, lambda: self._stage, self)
            for port in (store, log, conversations, journal)
        ]
        for port in self._stepped:
            port.are_steps = stores.steps_are_calls()

    def play(self, stage: Stage, actors: Mapping[str, Callable[[], None]]) -> None:
        self._stage = stage
        try:
            stage.play(actors)
        finally:
            self._stage = None

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the stores without counting it as a step."""
        stage, self._stage = self._stage, None
        try:
            yield
        finally:
            self._stage = stage

    def step(self, call: str, touches: Touches = EVERYTHING) -> None:
        """Make something other than a store call a step."""
        if self._stage is not None:
            self._stage.step(call, touches).result = "done"

    def process(self, name: str) -> "Process":
        """Return a new process, which names its runs and executors."""
        store, log, conversations, journal = self._stepped
        return Process(self, name, store, log, journal, conversations)

    def note(
        self,
        what: Literal["wrote", "acted", "told", "cancelled", "deleted", "refused", "began"],
        actor: str,
        run_id: str,
        run: AgentRun | None = None,
        call: str = "",
    ) -> None:
        at_s = (self.clock.now() - AT).total_seconds()
        self.happened.append(Happened(what, actor, run_id, run, call, at_s))

    def asked(
        self, actor: str, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Note a call before it is made, with the lease that it creates and its length."""
        leases = [one for one in (*args, *kwargs.values()) if isinstance(one, Lease)]
        leases += [
            one.lease
            for one in args
            if isinstance(one, AgentRun) and method == "start" and one.lease
        ]
        untils = [lease.until for lease in leases]
        if isinstance(until := kwargs.get("lease_until"), datetime):
            untils.append(until)
        for until in untils:
            left_s = (until - self.clock.now()).total_seconds()
            self.leases.append((f"{actor} {method}", left_s))

    def made(self, actor: str, method: str, args: tuple[Any, ...]) -> None:
        """Note a call that succeeded, even if its caller never learns so."""
        key = args[0].key if args and isinstance(args[0], AgentRun) else args[0] if args else None
        if isinstance(key, RunKey):
            header = self.header(key.run_id) if method in BEGINNINGS else None
            self.note("wrote", actor, key.run_id, header, call=method)

    def header(self, run_id: str) -> AgentRun | None:
        """Return a run without counting it as a step; None if it is gone."""
        try:
            with self.looking():
                return self.store.get_state(RunKey(tenant="acme", run_id=run_id))
        except NotFoundError:
            return None


class Process:
    """What one process needs to start, continue, execute and read runs."""

    def __init__(
        self, scene: Scene, name: str, store: Any, log: Any, journal: Any, conversations: Any
    ) -> None:
        self.scene = scene
        self.name = name
        self._ids = count(1)
        self.runs = RunPorts(store, log, journal, scene.queue, InPlace(), scene.clock)
        self.conversations: ConversationStore = conversations
        self.ports = LaunchPorts(
            agents=Agents(),
            conversations=conversations,
            media_loader=NoMedia(),
            runs=self.runs,
            slots=RunSlots(InMemoryRunQuota(NO_LIMITS), self.runs),
            readers=ReaderPlaces(InMemoryReaderQuota(0), self.runs, self._new_id),
            objects=InMemoryLargeObjects(),
            arguments=Whole(),
            prices=NoPrices(),
            webhooks=AnyWebhook(),
            new_id=self._new_id,
            approval_expiry=RETENTION,
        )

    def _new_id(self) -> str:
        return f"{self.name}-{next(self._ids)}"

    def launcher(self, engine: AgentEngine) -> RunLauncher:
        settings = LauncherSettings(on_ended=lambda _run, _end: None, pace=PACE)
        return RunLauncher(engine, self.ports, settings)


def content_of(event: RecordedEvent) -> str:
    """Return an event's content without its time."""
    return json.dumps(event.event.model_dump(mode="json"), sort_keys=True)


def snapshot(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    return copy.copy(list(events))
