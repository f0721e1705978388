"""
Count what recording a run costs, by the requests to the store.

The recorder's own pace and an engine that spreads its text evenly over the run: what is charged
for depends on how often something is written and how large it is, not on what it is.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from agentrun.adapters.dynamo.connection.client import dynamo_client
from bench.capacity_run import RunShape, record
from bench.capacity_units import CapacityMeter, Charges
from bench.lab import Lab
from bench.table import Row


async def measure(lab: Lab) -> list[Row]:
    """Record three runs side by side."""
    os.environ.update(lab.environment)
    meter = CapacityMeter()
    client = dynamo_client(retry_mode="legacy")
    meter.attach(client)
    with ThreadPoolExecutor(8) as threads:
        keys = await asyncio.gather(
            record(RunShape(seconds=30, kilobytes=9), client, threads),
            record(RunShape(seconds=30, kilobytes=12, events_per_s=80), client, threads),
            record(RunShape(seconds=120, kilobytes=36, speed=4), client, threads),
        )
    costs = [meter.writes[key.tenant] for key in keys]
    return [
        _write_row("write cost of a run of 30 s, 9 KB", costs[0], 42),
        _write_row("  of a fast model, 80 events/s: 30 s, 12 KB", costs[1], None),
        _write_row("  of a run of 2 min, 36 KB", costs[2], None),
    ]


def _write_row(what: str, cost: Charges, budget: int | None) -> Row:
    parts = " + ".join(f"{units:.0f} {name}" for name, units in cost.by_request.items())
    return Row(
        what,
        f"{cost.computed:.0f} WCU ({parts}), {cost.reported:.0f} by moto's count",
        f"<= {budget} WCU" if budget else "",
        cost.computed <= budget if budget else None,
    )
