"""A stream is cut at every byte, and its reader notices nothing."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agentrun_client import AsyncClient, Client, RunEvent
from tests.clients.python.instant import AsyncInstantClock, InstantClock
from tests.clients.python.recorded import (
    AGENT,
    LOST_AND_TAKEN_OVER,
    LOST_AND_TAKEN_OVER_TEXT,
    PAUSE,
    PAUSED_AND_CONTINUED,
    RUN_ID,
    START,
    RecordedRun,
    Told,
    stream,
)
from tests.clients.python.stand_in import Asked, End, Reply, StandIn, serving

ROOT = Path(__file__).resolve().parents[3]
TEXT = LOST_AND_TAKEN_OVER_TEXT
OTHER_ENDS: dict[str, Told] = {
    "failed": (2, "ERROR", "Nö."),
    "cancelled": (2, "CANCELLED", "Nö."),
    "paused": (2, "PAUSED", PAUSE),
}


AT_ONCE = 8
"""Most of the time is spent waiting for sockets."""
PLACE: ContextVar[int] = ContextVar("PLACE")
"""Where the first answer to this reader is cut; its token says so."""


def token() -> str:
    return str(PLACE.get())


@dataclass
class Cutter:
    """Cuts the first answer to each reader; every other one breaks, the rest end properly."""

    is_cut: set[str] = field(default_factory=set)

    def __call__(self, asked: Asked, reply: Reply) -> Reply:
        reader = asked.headers["authorization"].removeprefix("Bearer ")
        if reader in self.is_cut:
            return reply
        self.is_cut.add(reader)
        place = int(reader)
        body = b"".join(reply.pieces)[:place]
        end: End = "lost" if place % 2 else "whole"
        return replace(reply, pieces=[body] if body else [], end=end)


@contextmanager
def cutting(told: list[Told]) -> Iterator[tuple[StandIn, RecordedRun]]:
    run = RecordedRun(told, Cutter())
    with serving(run.respond) as server:
        yield server, run


def expected(told: list[Told]) -> list[tuple[int, str]]:
    return [(event_id, name) for event_id, name, _ in told]


def seen(events: list[RunEvent]) -> list[tuple[int, str]]:
    return [(event.id, event.event) for event in events]


def check_everywhere(read: Callable[[int], None], places: Iterable[int]) -> None:
    """Read with a cut at each place, in several threads that share a client."""

    def check(place: int) -> None:
        PLACE.set(place)
        read(place)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        # Any failure is raised here.
        assert len(list(threads.map(check, places))) > 0


def read_with_cuts(told: list[Told], text: str, places: range) -> None:
    with (
        cutting(told) as (server, run),
        Client(server.url, token, clock=InstantClock()) as client,
    ):

        def read(place: int) -> None:
            reading = client.runs.stream(AGENT, "hello", idempotency_key=f"key-{place}")
            assert seen(list(reading)) == expected(told), place
            assert reading.text_so_far == text, place

        check_everywhere(read, places)
    # A cut before the first event was answered by the same request with the same key.
    assert sorted(run.keys) == sorted(f"key-{place}" for place in places)


def test_each_event_comes_once_wherever_the_stream_is_cut() -> None:
    read_with_cuts(LOST_AND_TAKEN_OVER, TEXT, range(len(stream(LOST_AND_TAKEN_OVER))))


@pytest.mark.parametrize("how", OTHER_ENDS)
def test_a_run_that_ends_otherwise_is_read_to_its_end_wherever_that_is_cut(how: str) -> None:
    told: list[Told] = [(1, "START", START), OTHER_ENDS[how]]
    read_with_cuts(told, "", range(len(stream(told[:1])), len(stream(told))))


def test_each_event_comes_once_wherever_an_awaited_stream_is_cut() -> None:
    told = LOST_AND_TAKEN_OVER
    places = range(len(stream(told)))

    async def read(client: AsyncClient, place: int) -> None:
        PLACE.set(place)
        reading = client.runs.stream(AGENT, "hello", idempotency_key=f"key-{place}")
        assert seen([event async for event in reading]) == expected(told), place
        assert reading.text_so_far == TEXT, place

    async def read_all(url: str) -> None:
        async with AsyncClient(url, token, clock=AsyncInstantClock()) as client:
            for at in places[::AT_ONCE]:
                together = places[at : at + AT_ONCE]
                await asyncio.gather(*(read(client, place) for place in together))

    with cutting(told) as (server, run):
        asyncio.run(read_all(server.url))
    assert sorted(run.keys) == sorted(f"key-{place}" for place in places)


def test_a_pause_in_the_middle_of_a_replay_is_not_the_end_wherever_it_is_cut() -> None:
    told = PAUSED_AND_CONTINUED
    around_the_pause = range(len(stream(told[:3])), len(stream(told[:5])))
    with (
        cutting(told) as (server, run),
        Client(server.url, token, clock=InstantClock()) as client,
    ):

        def read(place: int) -> None:
            reading = client.runs.attach(AGENT, RUN_ID)
            assert seen(list(reading)) == expected(told), place
            assert reading.text() == "é done", place

        check_everywhere(read, around_the_pause)
    assert run.keys == []


def test_the_recordings_have_every_event_that_is_documented() -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    documented = document["components"]["schemas"]["AgentStreamEvent"]["discriminator"]["mapping"]
    told = [*LOST_AND_TAKEN_OVER, *OTHER_ENDS.values()]
    assert {name for _, name, _ in told} == {*documented, "A_LATER_EVENT"}
