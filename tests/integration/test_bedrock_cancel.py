"""Runs that are ended while Bedrock is silent: it sees the end, and no thread stays behind."""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import CancelledError
from http.client import BadStatusLine
from pathlib import Path
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from agent_catalog.models.bedrock import _Call
from agentrun.domain.events import ContentDelta
from tests.bedrock import BedrockServer, Hold, HttpError, ModelRequest, Reply, Text, bedrock_server
from tests.bedrock.engine_run import Runner
from tests.certificates import self_signed
from tests.integration.asgi_exchange import until

pytestmark = pytest.mark.anyio

MODEL = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
SEEN_WITHIN_S = 5.0
"""Long before any time-out of ours, also where the cores are busy."""
STALLS: dict[str, Callable[[], Reply]] = {
    "before its headers": lambda: Reply(headers_held=Hold()),
    "before its first word": lambda: Reply(Hold()),
    "in mid-stream": lambda: Reply(Text("one"), Hold()),
}


@pytest.fixture(params=["http", "https"])
def bedrock(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[BedrockServer]:
    certificate = self_signed(tmp_path) if request.param == "https" else None
    with bedrock_server(certificate) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
        assert not waiting_for_bedrock()


def waiting_for_bedrock() -> list[str]:
    """Name the threads that are inside botocore at this moment."""
    stacks = sys._current_frames()
    return [t.name for t in threading.enumerate() if t.ident in stacks and _inside(stacks[t.ident])]


def _inside(frame: Any) -> bool:
    while frame is not None:
        if "/botocore/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


async def asked(bedrock: BedrockServer, count: int = 1) -> ModelRequest:
    """Wait for this many requests; return the last one."""
    requests = await asyncio.to_thread(bedrock.wait_for_requests, count)
    return requests[count - 1]


async def close_generator(run: AsyncGenerator[Any, None], reader: asyncio.Task[Any]) -> None:
    """End a run as its executor does: its reader is cancelled, then it is closed."""
    await cancel_task(run, reader)
    await run.aclose()


async def cancel_task(run: AsyncGenerator[Any, None], reader: asyncio.Task[Any]) -> None:
    """End a run by cancelling the task that reads it."""
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


async def read(run: AsyncGenerator[Any, None], said: asyncio.Event) -> None:
    async for event in run:
        if isinstance(event, ContentDelta):
            said.set()


@pytest.mark.parametrize("end", [cancel_task, close_generator])
@pytest.mark.parametrize("stall", list(STALLS))
async def test_ending_a_stalled_run_closes_its_connection(
    bedrock: BedrockServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stall: str,
    end: Callable[..., Any],
) -> None:
    retries: list[object] = []

    def delay_s(_: object, context: object) -> float:
        retries.append(context)
        return 0.0

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", delay_s)
    bedrock.script(STALLS[stall]())
    run, said = Runner(tmp_path, MODEL).start(), asyncio.Event()
    reader = asyncio.create_task(read(run, said))
    request = await asked(bedrock)
    if stall == "in mid-stream":
        await said.wait()
    async with asyncio.timeout(SEEN_WITHIN_S):
        await end(run, reader)
    assert await asyncio.to_thread(request.closed.wait, SEEN_WITHIN_S)
    await until(lambda: not waiting_for_bedrock(), "the thread has ended")
    assert retries == []
    assert len(bedrock.requests) == 1


async def test_closing_between_two_events_closes_the_connection(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(Reply(Text("one"), Hold()))
    run = Runner(tmp_path, MODEL).start()
    assert await anext(run) == ContentDelta(text="one")
    async with asyncio.timeout(SEEN_WITHIN_S):
        await run.aclose()
    assert await asyncio.to_thread(bedrock.requests[0].closed.wait, SEEN_WITHIN_S)
    await until(lambda: not waiting_for_bedrock(), "the thread has ended")


async def test_a_stall_times_out_and_closes_its_connection(
    bedrock: BedrockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "1")
    runner, requests = Runner(tmp_path, MODEL), 0
    for name, stall in STALLS.items():
        bedrock.always(stall())
        run = await runner.run()
        assert run.error is not None
        assert run.error.error_type == "MODEL_TIMEOUT"
        # An answer that has begun is asked for again.
        requests += 3 if name == "in mid-stream" else 1
        await asked(bedrock, requests)
        for request in bedrock.requests:
            assert await asyncio.to_thread(request.closed.wait, SEEN_WITHIN_S)
        await until(lambda: not waiting_for_bedrock(), "the thread has ended")
    assert len(bedrock.requests) == requests


async def test_cancelling_a_throttled_run_ends_its_retries(
    bedrock: BedrockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Event()

    def delay_s(*_: object) -> float:
        waiting.set()
        return 0.3

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", delay_s)
    bedrock.always(HttpError(429, "ThrottlingException"))
    run = Runner(tmp_path, MODEL).start()
    reader = asyncio.create_task(read(run, asyncio.Event()))
    await asyncio.to_thread(waiting.wait, 5)
    async with asyncio.timeout(SEEN_WITHIN_S):
        await cancel_task(run, reader)
    await until(lambda: not waiting_for_bedrock(), "the thread has ended")
    assert len(bedrock.requests) == 1


async def test_a_connection_is_used_again_after_another_run_was_cancelled(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    """Giving one request up must not touch the connection of any other."""
    let_go = threading.Event()
    bedrock.script(Reply(Text("one "), Hold(let_go), Text("two")), Reply(headers_held=Hold()))
    runner, said = Runner(tmp_path, MODEL), asyncio.Event()
    kept, text = runner.start(), []

    async def keep() -> None:
        async for event in kept:
            if isinstance(event, ContentDelta):
                text.append(event.text)
                said.set()

    keeper = asyncio.create_task(keep())
    await said.wait()
    cancelled = runner.start()
    reader = asyncio.create_task(read(cancelled, asyncio.Event()))
    await asked(bedrock, 2)
    await cancel_task(cancelled, reader)
    let_go.set()
    await keeper
    assert "".join(text) == "one two"
    bedrock.script(Reply(Text("three")))
    assert (await runner.run()).text == "three"


async def test_many_stalled_runs_hold_up_no_other(bedrock: BedrockServer, tmp_path: Path) -> None:
    """One thread waits for each of them: more than the 40 that anyio has by default."""
    runner = Runner(tmp_path, MODEL)
    bedrock.always(lambda _: Reply(Hold()))
    stalled = [asyncio.create_task(read(runner.start(), asyncio.Event())) for _ in range(45)]
    requests = list(await asyncio.to_thread(bedrock.wait_for_requests, 45))
    bedrock.script(Reply(Text("served")))
    assert (await runner.run()).text == "served"
    for task in stalled:
        task.cancel()
    await asyncio.gather(*stalled, return_exceptions=True)
    for request in requests:
        assert await asyncio.to_thread(request.closed.wait, SEEN_WITHIN_S)
    await until(lambda: not waiting_for_bedrock(), "the threads have ended")


@pytest.mark.parametrize("error", [None, OSError(), BadStatusLine("HTTP/1.1 20")])
async def test_a_call_that_is_given_up_is_not_tried_again_whatever_came_of_its_answer(
    error: Exception | None,
) -> None:
    # Where in its answer a connection is closed is a matter of luck.
    call = _Call()

    def answered() -> None:
        with call.waiting_on(None):
            call.give_up()
            if error is not None:
                raise error

    with pytest.raises(CancelledError):
        answered()
