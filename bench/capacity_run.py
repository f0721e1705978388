"""Runs to be priced: recorded by the real launcher, with an engine of even pace."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING
from uuid import uuid4

from pydantic import JsonValue

from agent_catalog import load_catalog
from agent_catalog.media.loader import UrlMediaLoader
from agent_catalog.models.prices import ModelPrices
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.quotas.reader_quota import DynamoReaderQuota
from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from agentrun.adapters.webhooks.guard import webhook_guard
from agentrun.domain.events import ContentDelta, Metrics
from agentrun.domain.ports import AgentTask, ArgumentChecker, TurnHost
from agentrun.domain.principal import Principal
from agentrun.domain.quotas import RunLimits
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import RunKey
from agentrun.domain.turns import TurnEnded, TurnEnding
from agentrun.domain.value import Value
from agentrun.service.executing.execution import RunExecution
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots
from agentrun.service.starting.start_run import LaunchPorts, Reader
from agentrun.settings import Settings
from bench.processes import ROOT
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AGENT = "echo"
BODY: dict[str, JsonValue] = {"message": "How do I attach to a run again?"}


class RunShape(Value):
    """A run to record; `speed` is how many times faster than real time it goes."""

    seconds: int
    kilobytes: int
    speed: int = 1
    events_per_s: int = 20

    @property
    def pace(self) -> RecordingPace:
        """The recorder's own pace, sped up with the run: the same writes of the same sizes."""
        life = RecordingPace()
        return RecordingPace(
            flush_interval_s=life.flush_interval_s / self.speed,
            heartbeat_interval_s=life.heartbeat_interval_s / self.speed,
        )


class PacedEngine:
    """Recites the project's documentation at an even pace; an `AgentEngine` without any tools."""

    def __init__(self, shape: RunShape) -> None:
        self._shape = shape
        pages = sorted((ROOT / "docs").rglob("*.md"))
        self._prose = "".join(page.read_text("utf-8") for page in pages)

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        """Say the shape's text in its time, whatever the task is."""
        del task
        per_s = self._shape.events_per_s
        count = self._shape.seconds * per_s
        characters = self._shape.kilobytes * 1024 // count
        started = time.monotonic()
        for number in range(count):
            at = number * characters % (len(self._prose) - characters)
            host.say(ContentDelta(text=self._prose[at : at + characters]))
            due = started + (number + 1) / per_s / self._shape.speed
            await asyncio.sleep(due - time.monotonic())
        host.say(Metrics(model="bench", input_tokens=1200, output_tokens=2400, llm_calls=1))
        return TurnEnded()

    def argument_faults(self, *_: object, **__: object) -> Sequence[tuple[str, str]]:
        """Find nothing wrong: nothing is called."""
        return ()


class _Nowhere:
    """The ports `RunQueue` and `LargeObjects` for runs that need neither."""

    def send(self, *_: object, **__: object) -> None:
        """Ask nobody."""

    def put(self, *_: object) -> None:
        """Keep nothing."""

    def get(self, *_: object) -> None:
        """Find nothing."""

    def delete(self, *_: object) -> None:
        """Delete nothing."""


def ports_on(client: "DynamoDBClient", threads: Executor) -> RunPorts:
    """Return the ports of the stream function, on this client."""
    table = Table(client, TABLE)
    return RunPorts(
        DynamoRunStore(table),
        DynamoEventLog(table),
        DynamoRunJournal(table),
        _Nowhere(),
        threads,
        SystemClock(),
    )


def launch_ports_on(
    client: "DynamoDBClient", threads: Executor, arguments: ArgumentChecker
) -> LaunchPorts:
    """Return all ports of the stream function, on this client."""
    runs = ports_on(client, threads)
    return LaunchPorts(
        agents=load_catalog("demo"),
        conversations=DynamoConversationStore(Table(client, TABLE)),
        media_loader=UrlMediaLoader(),
        runs=runs,
        # As they are unless a parameter of the stack says otherwise.
        slots=RunSlots(DynamoRunQuota(Table(client, TABLE), RunLimits()), runs),
        readers=readers_on(client, runs),
        objects=_Nowhere(),
        arguments=arguments,
        prices=ModelPrices(),
        webhooks=webhook_guard(Settings()),
        new_id=_new_id,
    )


def readers_on(client: "DynamoDBClient", runs: RunPorts) -> ReaderPlaces:
    """Return the places of readers, as many as there are by default."""
    limit = Settings().max_readers_per_user
    return ReaderPlaces(DynamoReaderQuota(Table(client, TABLE), limit), runs, _new_id)


def _new_id() -> str:
    return str(uuid4())


def caller_of(tenant: str) -> Principal:
    """Return the caller whose runs are recorded."""
    return Principal(user_id="bench", tenant=tenant, scopes=frozenset({"runs:write"}))


async def record(
    shape: RunShape,
    client: "DynamoDBClient",
    threads: Executor,
    *,
    on_begun: Callable[[RunKey], None] = lambda _: None,
) -> RunKey:
    """Record a run of a new tenant from its start until it has released everything."""
    engine = PacedEngine(shape)
    ports = launch_ports_on(client, threads, engine)
    settings = LauncherSettings(on_ended=lambda _run, _outcome: None, pace=shape.pace)
    launcher = RunLauncher(engine, ports, settings)
    caller, request = caller_of(str(uuid4())), RunRequest.model_validate(BODY)
    reader = Reader(body=BODY)
    execution = await launcher.begin(caller, AGENT, request, reader=reader, deadline=None)
    if not isinstance(execution, RunExecution):
        raise TypeError("a run of a new tenant has been started before")
    on_begun(execution.run.key)
    await launcher.ended(execution)
    return execution.run.key
