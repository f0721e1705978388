"""A stream of Bedrock's, from boto3's socket to the client's, against boto3's bare loop."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from bench.lab import Lab, Target
from bench.processes import ROOT, ProcessEndedError
from bench.stores import bedrock_server
from bench.table import Budget, Row, compare

ROUNDS = 3
_SHORT, _LONG = 200, 8_200
_MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"


async def measure(lab: Lab) -> list[Row]:
    """
    Compare what a long stream takes over a short one, by event.

    The server is `tests.bedrock`, which speaks Bedrock's encoding to the real boto3 as fast as it
    goes; it is a process of its own.
    """
    async with bedrock_server() as url, AsyncExitStack() as stack:
        settings = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url, **lab.on_light_store}
        ours = {**settings, "AGENTRUN_MODEL": f"bedrock:{_MODEL}"}
        targets = {
            build.name: await stack.enter_async_context(lab.function(build, settings=ours))
            for build in lab.builds
        }
        peer = lab.peer(f"bedrock:{_MODEL}", settings)
        targets["peer"] = await stack.enter_async_context(peer)
        cpu = await _by_turns(targets)
        cpu["bare loop"] = await _bare_loop(lab, settings)
    budgets = Budget(1.5, "bare loop"), Budget(0.5, "before")
    return compare("processor per event of a Bedrock stream, recorded", cpu, "us", *budgets)


async def _by_turns(targets: Mapping[str, Target]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(ROUNDS + 1):
        for name, target in targets.items():
            short, long = [await _cpu_s(target, count) for count in (_SHORT, _LONG)]
            if number:
                taken[name].append((long - short) / (_LONG - _SHORT) * 1e6)
    return {name: min(figures) for name, figures in taken.items()}


async def _cpu_s(target: Target, count: int) -> float:
    before = target.process.cpu_s()
    # Not `echo`, which is an agent of the demo model whatever the default model is.
    recording = await target.complete("docs_assistant", f"/emit {count}")
    seen = recording.body.count(b"CONTENT_DELTA")
    if seen != count:
        raise ProcessEndedError(f"{seen} events, not {count}: {recording.body[-2000:]!r}")
    return target.process.cpu_s() - before


async def _bare_loop(lab: Lab, settings: Mapping[str, str]) -> float:
    numbers = (str(number) for number in (_SHORT, _LONG, ROUNDS))
    process = await asyncio.create_subprocess_exec(
        lab.interpreter.command,
        *("-m", "bench.inside.bedrock_loop", _MODEL, *numbers),
        cwd=ROOT,
        env={**lab.environment_of(lab.builds[0]), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise ProcessEndedError(output.decode())
    return min(float(line) for line in output.split())
