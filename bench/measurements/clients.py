"""What reading a stream costs the Python client, beside openai-python, and its import."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile

from bench.inside.word_streams import serving_words
from bench.lab import Lab
from bench.processes import ROOT
from bench.table import Budget, Row, compare

ROUNDS = 7
IMPORT_ROUNDS = 15
BURST_WORDS = 4_000
PACED_WORDS, PACE_S = 500, 0.001


async def measure(lab: Lab) -> list[Row]:
    """Measure on the Python of `.venv`, which has the clients; the lab's has not."""
    del lab
    rows = []
    for what, words, pause_s in (
        ("at full speed", BURST_WORDS, 0.0),
        ("an event each ms", PACED_WORDS, PACE_S),
    ):
        async with serving_words(words, pause_s) as url:
            figures = json.loads(
                await _output("-m", "bench.inside.reading_clients", url, str(ROUNDS))
            )
        for kind in ("blocking", "awaited"):
            title = f"Python client, {kind}, {what}: processor per event"
            rows += compare(title, figures[kind], "us", Budget(0.7, "openai"))
    return [*rows, *await _imports()]


async def _output(*arguments: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={"PATH": os.defpath, **environment},
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def _imports() -> list[Row]:
    taken: dict[str, list[float]] = {"httpx": [], "agentrun_client": []}
    with tempfile.TemporaryDirectory() as bytecode:
        for _ in range(IMPORT_ROUNDS + 1):
            for module, times in taken.items():
                program = f"import time; t = time.perf_counter(); import {module}; "
                program += "print((time.perf_counter() - t) * 1000)"
                times.append(float(await _output("-c", program, PYTHONPYCACHEPREFIX=bytecode)))
    # The first of each has compiled it.
    best = {module: min(times[1:]) for module, times in taken.items()}
    ours, theirs = best["agentrun_client"], best["httpx"]
    what = f"import agentrun_client, {ours:.0f} ms, less import httpx, {theirs:.0f} ms"
    return compare(what, {"ours": ours - theirs}, "ms", Budget(30))
