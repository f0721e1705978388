"""When connections close, and what a caller who leaves does to a run."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from agentrun_client import AgentrunError, AsyncClient, Client, ContentDelta
from tests.clients.python.instant import InstantClock
from tests.clients.python.recorded import (
    AGENT,
    HEAD,
    LOST_AND_TAKEN_OVER,
    RUN_ID,
    START,
    RecordedRun,
    stream,
)
from tests.clients.python.stand_in import Asked, Reply, StandIn, serving

BEGUN = [stream([(1, "START", START), (2, "CONTENT_DELTA", "a")])]
CANCEL = f"POST /api/v1/runs/{RUN_ID}/cancel"


def live(asked: Asked) -> Reply:
    """Say two events, then nothing more; cancelling is fine."""
    return Reply(204) if asked.path.endswith("/cancel") else Reply(200, HEAD, BEGUN, end="held")


@contextmanager
def live_run() -> Iterator[tuple[StandIn, Client]]:
    with serving(live) as server, Client(server.url, "token", clock=InstantClock()) as client:
        yield server, client


@asynccontextmanager
async def awaited_run() -> AsyncIterator[tuple[StandIn, AsyncClient]]:
    with serving(live) as server:
        async with AsyncClient(server.url, "token") as client:
            yield server, client


def wait_until(condition: Callable[[], bool]) -> None:
    """The server sees a closed connection a moment later."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_nothing_is_sent_before_the_first_event_is_asked_for() -> None:
    with live_run() as (server, client):
        reading = client.runs.stream(AGENT, "hello")
        with reading:
            assert (reading.run_id, reading.last_event_id, reading.text_so_far) == (None, 0, "")
        assert server.asked == []


def test_leaving_the_block_closes_the_connection_and_the_run_goes_on() -> None:
    with live_run() as (server, client):
        with client.runs.stream(AGENT, "hello") as reading:
            assert next(reading).id == 1
            assert server.connections == 1
        wait_until(lambda: server.connections == 0)
        assert len(server.asked) == 1
        assert (reading.run_id, reading.session_id) == (RUN_ID, "s1")
        assert list(reading) == []


def test_leaving_the_block_cancels_a_run_that_goes_on_if_asked_to() -> None:
    with live_run() as (server, client):
        with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
            next(reading)
        assert server.paths()[1:] == [CANCEL]


def test_a_run_that_has_ended_is_not_cancelled() -> None:
    run = RecordedRun(LOST_AND_TAKEN_OVER)
    with serving(run.respond) as server, Client(server.url, "token") as client:
        with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
            assert reading.text()
        assert len(server.asked) == 1


def test_a_run_is_cancelled_when_its_reader_is_interrupted() -> None:
    def read(client: Client) -> None:
        with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
            for _ in reading:
                raise KeyboardInterrupt

    with live_run() as (server, client):
        with pytest.raises(KeyboardInterrupt):
            read(client)
        assert server.paths()[1:] == [CANCEL]
        wait_until(lambda: server.connections <= 1)


def test_what_interrupted_a_reader_matters_more_than_a_failure_to_cancel() -> None:
    def respond(asked: Asked) -> Reply:
        return Reply(403) if asked.path.endswith("/cancel") else live(asked)

    def leave(error: Exception | None) -> None:
        with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
            next(reading)
            if error:
                raise error

    with serving(respond) as server, Client(server.url, "token") as client:
        with pytest.raises(ZeroDivisionError):
            leave(ZeroDivisionError())
        with pytest.raises(AgentrunError):
            leave(None)


def test_a_stream_that_is_forgotten_closes_its_connection() -> None:
    with live_run() as (server, client):
        reading = client.runs.stream(AGENT, "hello")
        next(reading)
        del reading
        wait_until(lambda: server.connections == 0)


def test_a_stream_read_to_its_end_keeps_no_connection_busy() -> None:
    run = RecordedRun(LOST_AND_TAKEN_OVER)
    with serving(run.respond) as server, Client(server.url, "token") as client:
        for _ in range(3):
            list(client.runs.stream(AGENT, "hello"))
        wait_until(lambda: server.connections <= 1)


def test_a_stream_may_be_read_in_parts() -> None:
    run = RecordedRun(LOST_AND_TAKEN_OVER)
    with serving(run.respond) as server, Client(server.url, "token") as client:
        reading = client.runs.stream(AGENT, "hello")
        first = next(event for event in reading if isinstance(event, ContentDelta))
        assert reading.text_so_far == first.text == "ja 🙂 "
        assert reading.reasoning_so_far == "Grüße"
        result = reading.result()
    assert result == reading.result()
    assert [(call.id, call.is_error) for call in result.tools] == [("c1", False), ("c2", True)]
    assert result.metrics is not None
    assert (result.metrics.total_tokens, result.metrics.cost_usd) == (None, 1.0)


def test_more_streams_than_a_pool_has_connections_are_read_at_once() -> None:
    with live_run() as (_, client):
        readings = [client.runs.stream(AGENT, "hello") for _ in range(120)]
        assert [next(reading).id for reading in readings] == [1] * 120
        for reading in readings:
            reading.close()


@pytest.mark.anyio
async def test_an_awaited_stream_is_closed_with_its_block() -> None:
    async with awaited_run() as (server, client):
        async with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
            assert (await anext(reading)).id == 1
        assert server.paths()[1:] == [CANCEL]
        await asyncio.to_thread(wait_until, lambda: server.connections <= 1)


@pytest.mark.anyio
async def test_a_cancelled_task_closes_its_stream_and_cancels_its_run() -> None:
    async with awaited_run() as (server, client):
        has_begun = asyncio.Event()

        async def read() -> None:
            async with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
                async for _ in reading:
                    has_begun.set()

        task = asyncio.create_task(read())
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.paths()[1:] == [CANCEL]


@pytest.mark.anyio
async def test_a_reader_whose_time_is_up_cancels_its_run() -> None:
    # A scope of anyio cancels again at each await, unlike a task of asyncio.
    async with awaited_run() as (server, client):
        with anyio.move_on_after(0.2) as scope:
            async with client.runs.stream(AGENT, "hello", cancel_on_exit=True) as reading:
                async for _ in reading:
                    pass
        assert scope.cancelled_caught
        assert server.paths()[1:] == [CANCEL]


@pytest.mark.anyio
async def test_a_forgotten_awaited_stream_closes_its_connection() -> None:
    async with awaited_run() as (server, client):
        reading = client.runs.stream(AGENT, "hello")
        await anext(reading)
        del reading
        await asyncio.sleep(0)
        await asyncio.to_thread(wait_until, lambda: server.connections == 0)


@pytest.mark.anyio
async def test_a_token_may_be_awaited() -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return "awaited"

    run = RecordedRun(LOST_AND_TAKEN_OVER)
    with serving(run.respond) as server:
        for source in (token, lambda: "called", "plain"):
            async with AsyncClient(server.url, source) as client:
                await client.runs.stream(AGENT, "hello").result()
    used = [asked.headers["authorization"] for asked in server.asked]
    assert used == ["Bearer awaited", "Bearer called", "Bearer plain"]
