"""Measure what reading a batch of a hundred runs costs."""

import asyncio
import os
import random
import string
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.headers import header_item
from agentrun.adapters.dynamo.items import header_key
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from bench.capacity_units import CapacityMeter
from bench.lab import Lab
from bench.table import Row
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH = 100
ROUNDS = 15
_BATCH_WRITE = 25
"""What one BatchWriteItem takes (API reference)."""


async def measure(lab: Lab) -> list[Row]:
    """Read the same runs through the store and by a bare BatchGetItem, alternately."""
    os.environ.update(lab.environment)
    return await asyncio.to_thread(_measure)


def _measure() -> list[Row]:
    client, meter = dynamo_client(retry_mode="standard"), CapacityMeter()
    keys = _store_ended_runs(client)
    meter.attach(client)
    store = DynamoRunStore(Table(client, TABLE))
    bare_client = dynamo_client(retry_mode="standard")
    bare_keys: Any = {TABLE: {"Keys": [header_key(key) for key in keys]}}
    ours, bare = _by_turns(
        lambda: store.get_many(keys, with_text=True),
        lambda: bare_client.batch_get_item(RequestItems=bare_keys),
    )
    units, reported = meter.reads.computed / ROUNDS, meter.reads.reported / ROUNDS
    requests = meter.reads.requests / ROUNDS
    return [
        Row(
            "batch of 100 runs, previews included",
            f"{ours:.0f} ms = {ours / bare:.2f} x one bare BatchGetItem's {bare:.0f} ms",
            "<= 1.3 x",
            ours <= 1.3 * bare,
        ),
        Row(
            "  read cost",
            f"{units:.0f} RCU in {requests:.0f} request, {reported:.0f} by moto's count",
            "50 RCU",
            units <= 50,
        ),
    ]


def _by_turns(*calls: Callable[[], object]) -> list[float]:
    """Time the calls alternately; return their medians in milliseconds."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            taken.append((time.perf_counter() - started) * 1e3)
    return [median(taken) for taken in times]


def _store_ended_runs(client: "DynamoDBClient") -> list[RunKey]:
    """Store a hundred headers of runs that have ended, of the largest size."""
    runs = [_ended_run() for _ in range(BATCH)]
    for start in range(0, BATCH, _BATCH_WRITE):
        puts: Any = [
            {"PutRequest": {"Item": header_item(run)}} for run in runs[start:][:_BATCH_WRITE]
        ]
        client.batch_write_item(RequestItems={TABLE: puts})
    return [run.key for run in runs]


def _ended_run() -> AgentRun:
    now = SystemClock().now()
    return AgentRun(
        id=str(uuid4()),
        agent_id="echo",
        session_id=str(uuid4()),
        user_id="bench",
        org_id="bench",
        status=RunStatus.COMPLETED,
        input="How do I attach to a run again?",
        # Does not compress, so the header is nearly as large as one that still costs half a unit.
        output="".join(random.choices(string.printable, k=3000)),  # noqa: S311 - no secret
        created_at=now,
        updated_at=now,
        completed_at=now,
        model="bench",
        lease=Lease(executor=str(uuid4()), until=now),
    )
