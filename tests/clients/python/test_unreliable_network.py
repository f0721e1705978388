"""Two hundred runs through a network that duplicates, delays, refuses and closes at random."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agentrun_client import AsyncClient, Client
from tests.clients.python.instant import AsyncInstantClock, InstantClock
from tests.clients.python.recorded import AGENT, HEAD, START, STOP, Told, frame
from tests.clients.python.stand_in import SILENT, Asked, Reply, StandIn, serving

RUNS = 200
HTML = {"content-type": "text/html"}


@dataclass(frozen=True)
class Story:
    """What a run says, and the answer that is left of it."""

    told: list[Told]
    text: str


def make_story(dice: random.Random, run_id: str) -> Story:
    """Make up a run that loses its executor now and then."""
    start = {**START, "runId": run_id}
    told: list[Told] = [(1, "START", start)]
    kept: dict[int, str] = {}
    attempt = 1
    while len(told) < 20 or dice.random() < 0.8:
        last = told[-1][0]
        if dice.random() < 0.1:
            attempt += 1
            valid = dice.choice([event_id for event_id, _, _ in told])
            told.append((last + 1_000_000, "START", start))
            reset = {"toEventId": valid, "attempt": attempt, "reason": "EXECUTOR_LOST"}
            told.append((last + 1_000_001, "STEP_RESET", reset))
            kept = {event_id: text for event_id, text in kept.items() if event_id <= valid}
        else:
            kept[last + 1] = dice.choice(["a", "ß", "語", "🙂", "\n", " "])
            told.append((last + 1, "CONTENT_DELTA", kept[last + 1]))
    told.append((told[-1][0] + 1, "STOP", STOP))
    return Story(told, "".join(kept.values()))


@dataclass
class Network:
    """A deployment behind a network that spoils at most two answers of a run in a row."""

    dice: random.Random
    stories: dict[str, Story] = field(default_factory=dict)
    """By the key of the request that has started the run; a run's id is its key."""
    spoilt: Counter[str] = field(default_factory=Counter)

    def respond(self, asked: Asked) -> Reply:
        """Answer a request, or rather not."""
        key = self._run_of(asked)
        self.spoilt[key] += 1
        # Enough of them get through for a reader who does not give up.
        if self.spoilt[key] > 2 or self.dice.random() < 0.4:
            self.spoilt[key] = 0
            return self._answer(asked)
        return self.dice.choice([self._lose, self._refuse, self._cut])(asked)

    def _answer(self, asked: Asked) -> Reply:
        key, head = self._run_of(asked), dict(HEAD)
        if asked.method == "POST" and key in self.stories:
            head["idempotent-replayed"] = "true"
        story = self.stories.setdefault(key, make_story(self.dice, key))
        after = asked.last_event_id
        if after and self.dice.random() < 0.3:
            after = max(0, after - self.dice.randrange(5))
        frames = [frame(told) for told in story.told if told[0] > after]
        delay_s = 0.001 if self.dice.random() < 0.1 else 0
        doubled = [each for each in frames for _ in range(self.dice.choice([1, 1, 1, 2]))]
        pieces = [b": ping\n" + each if self.dice.random() < 0.1 else each for each in doubled]
        return Reply(200, {**head, "x-run-id": key}, pieces, delay_s=delay_s)

    @staticmethod
    def _run_of(asked: Asked) -> str:
        return asked.headers.get("idempotency-key") or asked.path.split("/")[-2]

    def _lose(self, asked: Asked) -> Reply:
        if self.dice.random() < 0.5:
            # The request has arrived, and its answer has not.
            self._answer(asked)
        return SILENT

    def _refuse(self, asked: Asked) -> Reply:
        return self.dice.choice(
            [
                Reply(503, {"retry-after": "1"}, [b"{}"]),
                Reply(502, HTML, [b"<html>Bad gateway</html>"]),
                Reply(504),
                Reply(429, {"retry-after": "2"}, [b"slow down"]),
            ]
        )

    def _cut(self, asked: Asked) -> Reply:
        reply = self._answer(asked)
        body = b"".join(reply.pieces)
        end = self.dice.choice(["whole", "lost"])
        pieces = [body[: self.dice.randrange(1, len(body))]]
        return replace(reply, pieces=pieces, end="lost" if end == "lost" else "whole", delay_s=0)


@contextmanager
def unreliable(seed: int) -> Iterator[tuple[StandIn, Network]]:
    network = Network(random.Random(seed))
    with serving(network.respond) as server:
        yield server, network


def check(network: Network, key: str, ids: list[int], text: str) -> None:
    story = network.stories[key]
    assert ids == [event_id for event_id, _, _ in story.told], key
    assert text == story.text, key


def test_two_hundred_runs_are_read_whole_and_none_is_started_twice() -> None:
    with (
        unreliable(seed=16) as (server, network),
        Client(server.url, "token", clock=InstantClock()) as client,
    ):
        for number in range(RUNS):
            reading = client.runs.stream(AGENT, "hello", idempotency_key=f"run-{number}")
            ids = [event.id for event in reading]
            check(network, f"run-{number}", ids, reading.text_so_far)
            assert reading.run_id == f"run-{number}"
    assert list(network.stories) == [f"run-{number}" for number in range(RUNS)]
    assert len(server.asked) > 1.5 * RUNS


def test_two_hundred_runs_are_read_whole_at_the_same_time() -> None:
    async def read(client: AsyncClient, network: Network, key: str) -> None:
        reading = client.runs.stream(AGENT, "hello", idempotency_key=key)
        ids = [event.id async for event in reading]
        check(network, key, ids, reading.text_so_far)

    async def read_all(server: StandIn, network: Network) -> None:
        keys = [f"run-{number}" for number in range(RUNS)]
        async with AsyncClient(server.url, "token", clock=AsyncInstantClock()) as client:
            for at in range(0, RUNS, 20):
                together = (read(client, network, key) for key in keys[at : at + 20])
                await asyncio.gather(*together)

    with unreliable(seed=17) as (server, network):
        asyncio.run(read_all(server, network))
    assert len(network.stories) == RUNS
    assert len(server.asked) > 1.5 * RUNS


def test_a_client_that_makes_its_keys_itself_starts_no_run_twice_either() -> None:
    with (
        unreliable(seed=18) as (server, network),
        Client(server.url, "token", clock=InstantClock()) as client,
    ):
        texts = [client.runs.stream(AGENT, "hello").text() for _ in range(20)]
    assert texts == [story.text for story in network.stories.values()]
