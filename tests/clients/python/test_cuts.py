"""A stream is cut at every byte, and its reader notices nothing."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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


@dataclass
class Cutter:
    """Cuts the first answer after some bytes; every other one breaks, the rest end properly."""

    cut_at: int = 0
    is_cut: bool = False

    def __call__(self, asked: Asked, reply: Reply) -> Reply:
        if self.is_cut:
            return reply
        self.is_cut = True
        body = b"".join(reply.pieces)[: self.cut_at]
        end: End = "lost" if self.cut_at % 2 else "whole"
        return replace(reply, pieces=[body] if body else [], end=end)


@contextmanager
def cutting(told: list[Told]) -> Iterator[tuple[StandIn, RecordedRun, Cutter]]:
    cutter = Cutter()
    run = RecordedRun(told, cutter)
    with serving(run.respond) as server:
        yield server, run, cutter


def expected(told: list[Told]) -> list[tuple[int, str]]:
    return [(event_id, name) for event_id, name, _ in told]


def seen(events: list[RunEvent]) -> list[tuple[int, str]]:
    return [(event.id, event.event) for event in events]


def read_with_cuts(told: list[Told], text: str, places: Iterable[int]) -> None:
    with (
        cutting(told) as (server, run, cutter),
        Client(server.url, "token", clock=InstantClock()) as client,
    ):
        for place in places:
            cutter.cut_at, cutter.is_cut = place, False
            reading = client.runs.stream(AGENT, "hello", idempotency_key=f"key-{place}")
            assert seen(list(reading)) == expected(told), place
            assert reading.text_so_far == text, place
    # A cut before the first event was answered by the same request with the same key.
    assert run.keys == [f"key-{place}" for place in places]


def test_each_event_comes_once_wherever_the_stream_is_cut() -> None:
    read_with_cuts(LOST_AND_TAKEN_OVER, TEXT, range(len(stream(LOST_AND_TAKEN_OVER))))


@pytest.mark.parametrize("how", OTHER_ENDS)
def test_a_run_that_ends_otherwise_is_read_to_its_end_wherever_that_is_cut(how: str) -> None:
    told: list[Told] = [(1, "START", START), OTHER_ENDS[how]]
    read_with_cuts(told, "", range(len(stream(told[:1])), len(stream(told))))


def test_each_event_comes_once_wherever_an_awaited_stream_is_cut() -> None:
    told = LOST_AND_TAKEN_OVER

    async def read_all(server: StandIn, cutter: Cutter) -> None:
        async with AsyncClient(server.url, "token", clock=AsyncInstantClock()) as client:
            for place in range(len(stream(told))):
                cutter.cut_at, cutter.is_cut = place, False
                reading = client.runs.stream(AGENT, "hello", idempotency_key=f"key-{place}")
                assert seen([event async for event in reading]) == expected(told), place
                assert reading.text_so_far == TEXT, place

    with cutting(told) as (server, run, cutter):
        asyncio.run(read_all(server, cutter))
    assert run.keys == [f"key-{place}" for place in range(len(stream(told)))]


def test_a_pause_in_the_middle_of_a_replay_is_not_the_end_wherever_it_is_cut() -> None:
    told = PAUSED_AND_CONTINUED
    around_the_pause = range(len(stream(told[:3])), len(stream(told[:5])))
    with (
        cutting(told) as (server, run, cutter),
        Client(server.url, "token", clock=InstantClock()) as client,
    ):
        for place in around_the_pause:
            cutter.cut_at, cutter.is_cut = place, False
            reading = client.runs.attach(AGENT, RUN_ID)
            assert seen(list(reading)) == expected(told), place
            assert reading.text() == "é done", place
    assert run.keys == []


def test_the_recordings_have_every_event_that_is_documented() -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    documented = document["components"]["schemas"]["AgentStreamEvent"]["discriminator"]["mapping"]
    told = [*LOST_AND_TAKEN_OVER, *OTHER_ENDS.values()]
    assert {name for _, name, _ in told} == {*documented, "A_LATER_EVENT"}
