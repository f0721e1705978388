"""`python -m bench.costs`: what recording and reading runs costs, and a month of them in USD."""

import asyncio
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.items import session_key, session_list_key, session_list_position
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import RunKey
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.ports import RunPorts
from agentrun.service.reading.follow import whole_run
from agentrun.service.starting.reconnect import SentAgain, run_sent_before
from agentrun.service.starting.session_queue import LOOK_AT_LOCK_EVERY_S
from agentrun.service.starting.start_run import Reader
from bench.capacity_run import (
    AGENT,
    BODY,
    PacedEngine,
    RunShape,
    caller_of,
    launch_ports_on,
    ports_on,
    readers_on,
    record,
)
from bench.capacity_units import CapacityMeter, item_bytes
from bench.lab import open_lab
from bench.step_costs import StepCosts
from bench.table import Row, print_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHAPES = {
    "30 s, 9 KB": RunShape(seconds=30, kilobytes=9),
    "2 min, 36 KB": RunShape(seconds=120, kilobytes=36, speed=4),
}
RUNS_A_MONTH = (10_000, 1_000_000)
SESSIONS = (100, 1_000, 10_000)
PAGE_SESSIONS = 20
"""What a page of sessions has when no size is asked for."""
# List prices in USD, us-east-1, arm64; docs/costs.md names the pages that have today's.
WRITE_UNIT = 0.625e-6
READ_UNIT = 0.125e-6
GB_SECOND = 0.0000133334
LAMBDA_REQUEST = 0.20e-6
STREAM_MEMORY_GB = 1


@dataclass(frozen=True)
class Followed:
    """Units of DynamoDB that following a run from start to end took."""

    reads: float
    writes: float


class ReadMeter:
    """Adds up read units by DynamoDB's rules, from the items that come back."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.units = 0.0
        for name in ("GetItem", "Query", "BatchGetItem"):
            client.meta.events.register(f"before-parameter-build.dynamodb.{name}", self._note)
            client.meta.events.register(f"after-call.dynamodb.{name}", self._count)

    def _note(self, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        asked = params, *params.get("RequestItems", {}).values()
        context["bench_consistent"] = any(part.get("ConsistentRead") for part in asked)

    def _count(
        self, parsed: Mapping[str, Any], context: dict[str, Any], model: Any, **_: object
    ) -> None:
        """Count as "Read consistency" and "Query" in the developer guide say."""
        match model.name:
            case "GetItem":
                pages = [[parsed["Item"]]]
            case "Query":
                # The page's items together; a page without any is one unit.
                pages = [parsed["Items"]]
            case _:
                pages = [[item] for items in parsed["Responses"].values() for item in items]
        units = sum(max(1, math.ceil(sum(map(item_bytes, page)) / 4096)) for page in pages)
        self.units += units if context["bench_consistent"] else units / 2

    def of(self, read: Callable[[], object]) -> float:
        """Return what one piece of reading costs."""
        self.units = 0.0
        read()
        return self.units


async def measure() -> list[Row]:
    """Record a run of each shape, read it in every way, and price it."""
    meter = CapacityMeter()
    async with open_lab() as lab:
        os.environ.update(lab.environment)
        client, reading = dynamo_client(retry_mode="legacy"), dynamo_client(retry_mode="standard")
        meter.attach(client)
        with ThreadPoolExecutor(8) as threads:
            keys, followed = await _recorded(client, reading, threads)
            rows = [*_reader_prices(followed), *_steps()]
            for (name, shape), key in zip(SHAPES.items(), keys, strict=True):
                writes = meter.writes[key.tenant]
                parts = " + ".join(f"{units:.0f} {n}" for n, units in writes.by_request.items())
                rows.append(Row(f"{name}: write units", f"{writes.computed:.0f} ({parts})"))
                rows += await asyncio.to_thread(_reads, name, key, reading, threads)
                rows += _prices(name, shape, writes.computed)
    return [*rows, _queued_minute(), *_session_lists()]


async def _recorded(
    client: "DynamoDBClient", reading: "DynamoDBClient", threads: ThreadPoolExecutor
) -> tuple[list[RunKey], Followed]:
    """Record all shapes; return their keys, and what it took to follow the first, live."""
    readers: list[asyncio.Task[Followed]] = []

    def follow(key: RunKey) -> None:
        readers.append(asyncio.create_task(_follow(key, reading, threads)))

    first, *others = SHAPES.values()
    keys = await asyncio.gather(
        record(first, client, threads, on_begun=follow),
        *(record(shape, client, threads) for shape in others),
    )
    return keys, await readers[0]


async def _follow(key: RunKey, client: "DynamoDBClient", threads: ThreadPoolExecutor) -> Followed:
    reads, writes, ports = ReadMeter(client), CapacityMeter(), ports_on(client, threads)
    writes.attach(client)
    follower = await whole_run(key, ports, is_replay=True)
    await readers_on(client, ports).admit(follower, deadline=None)
    async for _ in follower.batches(idle_s=60):
        pass
    return Followed(reads.units, writes.writes[key.tenant].computed)


def _reader_prices(followed: Followed) -> list[Row]:
    name, shape = next(iter(SHAPES.items()))
    function = shape.seconds * STREAM_MEMORY_GB * GB_SECOND + LAMBDA_REQUEST
    table = followed.reads * READ_UNIT + followed.writes * WRITE_UNIT
    both = f"DynamoDB {table * 1e6:.2f} + Lambda {function * 1e6:.2f}"
    return [
        Row(f"{name}: read units of a reader who follows it", f"{followed.reads:.0f}"),
        Row(f"{name}: write units of its place", f"{followed.writes:.0f}"),
        Row(f"{name}: a million such readers", f"{both} = {(table + function) * 1e6:.2f} USD"),
    ]


def _reads(
    name: str, key: RunKey, client: "DynamoDBClient", threads: ThreadPoolExecutor
) -> list[Row]:
    meter, ports = ReadMeter(client), ports_on(client, threads)
    store = ports.store
    reads: dict[str, Callable[[], object]] = {
        "a poll": lambda: store.get(key),
        "its part of a batch": lambda: store.get_many([key], with_text=True),
        "its part of a batch, fields=summary": lambda: store.get_many([key], with_text=False),
        "its reader that posts again": lambda: asyncio.run(_found_again(key, client, threads)),
        "a full replay": lambda: asyncio.run(_replay(key, ports)),
    }
    rows = []
    for what, read in reads.items():
        units = meter.of(read)
        million = f"{units * READ_UNIT * 1e6:.3f} USD for a million"
        rows.append(Row(f"{name}: read units of {what}", f"{units:.1f} ({million})"))
    return rows


def _steps() -> list[Row]:
    """Price what runs that call tools write besides, and runs whose executors are lost."""
    costs = StepCosts(dynamo_client(retry_mode="legacy")).measure()
    return [
        Row(f"write units of {what}", f"{units:.0f} ({units * WRITE_UNIT * 1e6:.2f} USD a million)")
        for what, units in costs.items()
    ]


def _queued_minute() -> Row:
    """Price a minute in which a run waits for one other: its looks, heartbeats, and invocation."""
    # Each look is at the session's lock, and at the run that is ahead.
    reads = 2 * 60 / LOOK_AT_LOCK_EVERY_S
    writes = 60 / RecordingPace().heartbeat_interval_s
    table = reads * READ_UNIT + writes * WRITE_UNIT
    function = 60 * STREAM_MEMORY_GB * GB_SECOND
    units = f"{reads:.0f} read and {writes:.0f} write units"
    both = f"DynamoDB {table * 1e6:.2f} + Lambda {function * 1e6:.2f}"
    million = f"{both} = {(table + function) * 1e6:.2f} USD for a million"
    return Row("a minute that a run is QUEUED behind another", f"{units} ({million})")


def _session_lists() -> list[Row]:
    """Price a page of a user's sessions: its items, consistently, and all of the index's keys."""
    used_at, uuid = datetime(2026, 11, 22, tzinfo=UTC), "3f1d7a52-6c0b-4e8e-9d0a-51b2c7e4f8a6"
    entry = {
        **session_key("acme", uuid),
        "gsi1pk": {"S": session_list_key("acme", uuid)},
        "gsi1sk": {"S": session_list_position(used_at, uuid, "docs_assistant")},
    }
    rows = [Row("a session's entry in the index: bytes", str(item_bytes(entry)))]
    for count in SESSIONS:
        keys = math.ceil(count * item_bytes(entry) / 4096) / 2
        page = f"{PAGE_SESSIONS} for the page + {keys:.1f} for the keys"
        million = f"{(PAGE_SESSIONS + keys) * READ_UNIT * 1e6:.2f} USD for a million"
        rows.append(Row(f"read units of a page of {count:,} sessions", f"{page} ({million})"))
    return rows


async def _found_again(key: RunKey, client: "DynamoDBClient", threads: ThreadPoolExecutor) -> None:
    engine = PacedEngine(SHAPES["30 s, 9 KB"])
    fingerprint = Reader(body=BODY).fingerprint(AGENT)
    sent = SentAgain(AGENT, RunRequest.model_validate(BODY), fingerprint, cursor=1)
    ports = launch_ports_on(client, threads, engine)
    found = await run_sent_before(caller_of(key.tenant), sent, ports)
    if found is None or found.id != key.run_id:
        raise LookupError("the run was not found again")


async def _replay(key: RunKey, ports: RunPorts) -> None:
    follower = await whole_run(key, ports, is_replay=True)
    async for _ in follower.batches(idle_s=60):
        pass


def _prices(name: str, shape: RunShape, write_units: float) -> list[Row]:
    gb_seconds = shape.seconds * STREAM_MEMORY_GB
    rows = []
    for runs in RUNS_A_MONTH:
        table = runs * write_units * WRITE_UNIT
        function = runs * (gb_seconds * GB_SECOND + LAMBDA_REQUEST)
        both = f"DynamoDB {table:.2f} + Lambda {function:.2f} = {table + function:.2f} USD"
        rows.append(Row(f"{name}: {runs:,} runs a month", both))
    return rows


if __name__ == "__main__":
    print_table(asyncio.run(measure()))
