"""What a run costs to record."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from agent_catalog import load_catalog
from agentrun.adapters.dynamo_client import dynamo_client
from agentrun.adapters.dynamo_event_log import DynamoEventLog
from agentrun.adapters.dynamo_items import run_pk
from agentrun.adapters.dynamo_run_store import DynamoRunStore
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.events import ContentDelta, EngineEvent, Metrics
from agentrun.domain.model import Model
from agentrun.domain.ports import AgentTask
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import RunKey
from agentrun.service.run_launcher import RunLauncher
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_recorder import RecordingPace
from bench.capacity_units import CapacityMeter, Charges
from bench.lab import Lab
from bench.processes import ROOT
from bench.table import Row
from tests.tables import TABLE

_EVENTS_PER_S = 20
_QUESTION = "How do I attach to a run again?"
_CALLER = Principal(user_id="bench", tenant="bench", scopes=frozenset({"runs:write"}))


class RunShape(Model):
    """A run that is recorded; `speed` is how many times faster than life everything in it goes."""

    seconds: int
    kilobytes: int
    speed: int = 1

    @property
    def pace(self) -> RecordingPace:
        """The recorder's own pace, sped up with the run: the same writes of the same sizes."""
        life = RecordingPace()
        return RecordingPace(
            flush_interval_s=life.flush_interval_s / self.speed,
            heartbeat_interval_s=life.heartbeat_interval_s / self.speed,
        )


class PacedEngine:
    """Recites the project's documentation at an even pace; an `AgentEngine`."""

    def __init__(self, shape: RunShape) -> None:
        self._shape = shape
        pages = sorted((ROOT / "docs").rglob("*.md"))
        self._prose = "".join(page.read_text("utf-8") for page in pages)

    async def run(self, _: AgentTask) -> AsyncGenerator[EngineEvent, None]:
        """Give the shape's text in its time; the task says nothing of interest."""
        count = self._shape.seconds * _EVENTS_PER_S
        characters = self._shape.kilobytes * 1024 // count
        started = time.monotonic()
        for number in range(count):
            at = number * characters % (len(self._prose) - characters)
            yield ContentDelta(text=self._prose[at : at + characters])
            due = started + (number + 1) / _EVENTS_PER_S / self._shape.speed
            await asyncio.sleep(due - time.monotonic())
        yield Metrics(model="bench", input_tokens=1200, output_tokens=2400, llm_calls=1)


async def measure(lab: Lab) -> list[Row]:
    """Record two runs side by side."""
    os.environ.update(lab.environment)
    meter = CapacityMeter()
    client = dynamo_client(retry_mode="legacy")
    meter.attach(client)
    store = DynamoRunStore(client, TABLE)
    with ThreadPoolExecutor(8) as threads:
        ports = RunPorts(store, DynamoEventLog(client, TABLE), threads, SystemClock())
        short, long = await asyncio.gather(
            _record(RunShape(seconds=30, kilobytes=9), ports),
            _record(RunShape(seconds=120, kilobytes=36, speed=4), ports),
        )
    costs = [meter.writes[run_pk(key)] for key in (short, long)]
    return [
        _write_row("write cost of a run of 30 s, 9 KB", costs[0], 50),
        _write_row("write cost of a run of 2 min, 36 KB", costs[1], None),
    ]


async def _record(shape: RunShape, ports: RunPorts) -> RunKey:
    ended = asyncio.Event()
    launcher = RunLauncher(
        load_catalog("demo"),
        PacedEngine(shape),
        ports,
        new_id=lambda: str(uuid4()),
        on_ended=lambda _run, _outcome: ended.set(),
        pace=shape.pace,
    )
    request = RunRequest(message=_QUESTION)
    execution = await launcher.begin(_CALLER, "echo", request, deadline=None)
    await ended.wait()
    return execution.run.key


def _write_row(what: str, cost: Charges, budget: int | None) -> Row:
    parts = " + ".join(f"{units:.0f} {name}" for name, units in cost.by_request.items())
    return Row(
        what,
        f"{cost.computed:.0f} WCU ({parts}), {cost.reported:.0f} by moto's count",
        f"<= {budget} WCU" if budget else "",
        cost.computed <= budget if budget else None,
    )
