"""What polls cost the status function: one run, and a hundred at once."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median

from bench.lab import BufferedTarget, Lab
from bench.processes import ROOT
from bench.table import Budget, Row, compare

ROUNDS = 3
POLLS, BATCHES, BATCH = 60, 10, 100
PLAIN_STATUS = ROOT / "bench" / "inside" / "plain_status"
_AGENT = "echo"
_RUN_ID = re.compile(rb'runId\\":\s?\\"([0-9a-f-]{36})')


async def measure(lab: Lab) -> list[Row]:
    """Poll by turns, from every build and from a plain function that reads one item."""
    runs = await finished_runs(lab, BATCH)
    one, many = poll(lab, runs[0]), batch(lab, runs)
    await put_plain_item(lab, runs[0])
    async with AsyncExitStack() as stack:
        targets = {
            build.name: await stack.enter_async_context(
                lab.buffered(build, build.root / "functions" / "status")
            )
            for build in lab.builds
        }
        plain = await stack.enter_async_context(lab.buffered(lab.builds[0], PLAIN_STATUS))
        polls = await _by_turns({**targets, "plain FastAPI": plain}, one, POLLS)
        batches = await _by_turns(targets, many, BATCHES)
    return [
        *compare("processor of a poll", polls, "ms", Budget(2)),
        *compare(f"processor of a batch of {BATCH}", batches, "ms", Budget(12)),
    ]


async def _by_turns(
    targets: dict[str, BufferedTarget], event: bytes, count: int
) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(ROUNDS + 1):
        for name, target in targets.items():
            before = target.process.cpu_s()
            for _ in range(count):
                await answer(target, event)
            if number:
                taken[name].append((target.process.cpu_s() - before) / count * 1e3)
    return {name: median(figures) for name, figures in taken.items()}


async def answer(target: BufferedTarget, event: bytes) -> int:
    """
    Ask a function and wait for its answer.

    Returns:
        When it was complete, as monotonic nanoseconds.

    Raises:
        RuntimeError: It is no success.
    """
    recording = await target.ask(event).complete()
    document = json.loads(recording.body)
    if document.get("statusCode", 200) != 200:
        raise RuntimeError(f"{document}: {target.process.output()[-2000:]}")
    return recording.times[-1]


async def finished_runs(lab: Lab, count: int) -> list[str]:
    """Run an agent so many times, and return the runs' ids."""
    async with lab.function(lab.builds[0]) as target:
        ids = []
        for _ in range(count):
            match = _RUN_ID.search((await target.complete(_AGENT, "Say something.")).body)
            assert match is not None
            ids.append(match[1].decode())
        return ids


def poll(lab: Lab, run_id: str) -> bytes:
    """Return the event of a poll."""
    return _event(lab, "run-status", lambda event: _name_run(event, run_id))


def batch(lab: Lab, run_ids: Sequence[str]) -> bytes:
    """Return the event of a poll of many runs, with their texts."""

    def name_runs(event: dict[str, object]) -> None:
        asked = {"runIds": ",".join(run_ids), "fields": "full"}
        event["path"] = f"/api/agents/{_AGENT}/runs/status"
        event["queryStringParameters"] = asked
        event["multiValueQueryStringParameters"] = {name: [asked[name]] for name in asked}
        event["pathParameters"] = {"agentId": _AGENT}

    return _event(lab, "batch-status", name_runs)


def _name_run(event: dict[str, object], run_id: str) -> None:
    event["path"] = f"/api/agents/{_AGENT}/runs/{run_id}/status"
    event["pathParameters"] = {"agentId": _AGENT, "runId": run_id}


def _event(lab: Lab, name: str, fill: Callable[[dict[str, object]], None]) -> bytes:
    event = json.loads(lab.event(name))
    fill(event)
    # As the authorizer says of the token's owner.
    event["requestContext"]["authorizer"] |= {"userId": "dev", "orgId": "dev-org"}
    return json.dumps(event).encode()


async def put_plain_item(lab: Lab, run_id: str) -> None:
    """Put the item that the plain function reads."""
    item = {"pk": f"PLAIN#{_AGENT}", "sk": run_id, "status": "COMPLETED", "output": "x" * 200}
    await asyncio.to_thread(lab.put, item)
