"""When a stream is asked for again, after which wait, and when no more."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from agentrun_client import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConnectionFailedError,
    NotFoundError,
    RunPausedError,
    StreamLostError,
    TooManyRunsError,
    UnavailableError,
    UnknownEvent,
)
from agentrun_client.wire.backoff import Backoff
from tests.clients.python.instant import AsyncInstantClock, InstantClock
from tests.clients.python.recorded import (
    AGENT,
    HEAD,
    PAUSE,
    PAUSED_AND_CONTINUED,
    RUN_ID,
    START,
    STOP,
    RecordedRun,
    Told,
    frame,
    stream,
)
from tests.clients.python.stand_in import SILENT, Asked, Reply, StandIn, serving

BEGUN: list[Told] = [(1, "START", START), (2, "CONTENT_DELTA", "a")]
ENDED: list[Told] = [*BEGUN, (3, "STOP", STOP)]
BEARER = "Bearer realm"


def cut(told: Sequence[Told]) -> Reply:
    return Reply(200, HEAD, [stream(told)], end="lost")


def whole(told: Sequence[Told]) -> Reply:
    return Reply(200, HEAD, [stream(told)])


@contextmanager
def answering(*replies: Reply, **options: Any) -> Iterator[tuple[StandIn, Client, InstantClock]]:
    """Answer with these, the last one for ever."""
    left = itertools.chain(replies, itertools.repeat(replies[-1]))
    clock = InstantClock()
    with serving(lambda _: next(left)) as server, Client(
        server.url, "token", clock=clock, **options
    ) as client:  # fmt: skip
        yield server, client, clock


def test_a_stream_is_attached_to_where_it_broke_off() -> None:
    with answering(cut(BEGUN), whole(ENDED[2:])) as (server, client, _):
        assert client.runs.stream(AGENT, "hello").text() == "a"
    again = server.asked[1]
    assert (again.method, again.path) == ("GET", f"/api/agents/{AGENT}/runs/{RUN_ID}/stream")
    assert again.headers["last-event-id"] == "2"


def test_before_its_first_event_the_same_request_is_sent_again() -> None:
    with answering(SILENT, Reply(200, HEAD, [b"retry: 1000\nid: 1\nda"]), whole(ENDED)) as (
        server,
        client,
        _,
    ):
        assert client.runs.stream(AGENT, "hello").text() == "a"
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    bodies = {asked.body for asked in server.asked}
    assert (len(server.asked), len(keys), bodies) == (3, 1, {b'{"message":"hello"}'})


def test_waits_double_from_what_the_server_asks_for_up_to_ten_seconds() -> None:
    slower = Reply(200, HEAD, [b"retry: 3000\n" + frame(BEGUN[0])], end="lost")
    with (
        answering(slower, Reply(200, HEAD, [], end="lost"), max_reattaches=4) as (_, client, clock),
        pytest.raises(StreamLostError),
    ):
        client.runs.stream(AGENT, "hello").text()
    for slept, longest in zip(clock.slept, [3, 6, 10, 10], strict=True):
        assert longest / 2 <= slept <= longest


@pytest.mark.parametrize(
    ("retry", "longest"), [("-5", 0.1), ("0", 0.1), ("99999999", 10), ("soon", 1)]
)
def test_an_odd_wait_is_not_taken_at_its_word(retry: str, longest: float) -> None:
    odd = Reply(200, HEAD, [f"retry: {retry}\n".encode() + frame(BEGUN[0])], end="lost")
    with answering(odd, whole(ENDED[1:])) as (_, client, clock):
        assert client.runs.stream(AGENT, "hello").text() == "a"
    assert longest / 2 <= sum(clock.slept) <= longest


def test_waits_differ_between_clients() -> None:
    assert len({Backoff(1).delay_s(1) for _ in range(10)}) > 1


def test_a_stream_that_brings_nothing_new_is_given_up() -> None:
    with (
        answering(cut(BEGUN), max_reattaches=3) as (server, client, _),
        pytest.raises(StreamLostError) as caught,
    ):
        client.runs.stream(AGENT, "hello").text()
    assert (caught.value.run_id, caught.value.last_event_id) == (RUN_ID, 2)
    assert len(server.asked) == 4


def test_each_new_event_renews_the_budget() -> None:
    many: list[Told] = [(1, "START", START)]
    many += [(number, "CONTENT_DELTA", "a") for number in range(2, 30)]
    many.append((30, "STOP", STOP))

    def one_at_a_time(asked: Asked) -> Reply:
        return cut([told for told in many if told[0] > asked.last_event_id][:1])

    with (
        serving(one_at_a_time) as server,
        Client(server.url, "token", clock=InstantClock(), max_reattaches=1) as client,
    ):
        assert client.runs.stream(AGENT, "hello").text() == "a" * 28


def test_nothing_follows_ends_a_stream() -> None:
    with answering(Reply(204)) as (server, client, _):
        assert list(client.runs.attach(AGENT, RUN_ID, after=9)) == []
    assert len(server.asked) == 1


def test_an_event_that_comes_twice_is_handed_on_once() -> None:
    with answering(whole([*BEGUN, BEGUN[1], BEGUN[0], ENDED[2]])) as (_, client, _clock):
        assert [event.id for event in client.runs.stream(AGENT, "hello")] == [1, 2, 3]


def test_an_event_that_is_missing_is_asked_for() -> None:
    with answering(whole([ENDED[0], ENDED[2]]), whole(ENDED[1:])) as (server, client, _):
        assert client.runs.stream(AGENT, "hello").text() == "a"
    assert server.asked[1].headers["last-event-id"] == "1"


def test_an_event_that_stays_missing_does_not_exist() -> None:
    with answering(whole([ENDED[0], ENDED[2]]), whole(ENDED[2:])) as (server, client, _):
        assert [event.id for event in client.runs.stream(AGENT, "hello")] == [1, 3]
    assert len(server.asked) == 2


def test_a_frame_that_is_no_event_is_read_again() -> None:
    broken = Reply(200, HEAD, [stream(BEGUN[:1]) + b'id: 2\ndata: {"event":"CONT\n\n'])
    with answering(broken, whole(ENDED[1:])) as (_, client, _clock):
        assert client.runs.stream(AGENT, "hello").text() == "a"


def test_blocks_without_data_are_no_events() -> None:
    body = b"\n\nid: 1\n\n" + stream(ENDED) + b"\n\n"
    with answering(Reply(200, HEAD, [body])) as (_, client, _clock):
        assert [event.id for event in client.runs.stream(AGENT, "hello")] == [1, 2, 3]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_other_line_ends_are_understood(line_end: bytes) -> None:
    body = stream(ENDED).replace(b"\n", line_end)
    pieces = [body[at : at + 1] for at in range(len(body))]
    with answering(Reply(200, HEAD, pieces)) as (_, client, _clock):
        assert client.runs.stream(AGENT, "hello").text() == "a"


def test_an_event_of_a_later_server_is_handed_on() -> None:
    later: list[Told] = [BEGUN[0], (2, "NEWS", "x"), ENDED[2]]
    with answering(whole(later)) as (_, client, _clock):
        found = [e for e in client.runs.stream(AGENT, "hello") if isinstance(e, UnknownEvent)]
    assert [(event.event, event.data) for event in found] == [("NEWS", "x")]


def test_a_live_stream_ends_with_a_pause_even_if_nobody_closes_it() -> None:
    told: list[Told] = [*BEGUN, (3, "PAUSED", PAUSE)]
    held = Reply(200, HEAD, [stream(told)], end="held")
    with answering(held) as (server, client, _), pytest.raises(RunPausedError) as caught:
        client.runs.stream(AGENT, "hello").text()
    assert caught.value.required_action.approvals[0].tool_name == "buy"
    assert len(server.asked) == 1


def test_a_replay_that_pauses_ends_though_nothing_is_said_when_asked_what_follows() -> None:
    told = PAUSED_AND_CONTINUED[:4]
    nothing = Reply(200, HEAD, [b": ping\n"])
    with answering(whole(told), nothing, max_reattaches=2) as (server, client, clock):
        assert client.runs.attach(AGENT, RUN_ID).result().status == "PAUSED"
    assert len(server.asked) == 4
    assert len(clock.slept) == 2


class ImpatientClient(httpx.Client):
    """Waits for a tenth of a second where it is told to wait for 30."""

    def build_request(self, *args: Any, **options: Any) -> httpx.Request:
        assert options["timeout"].read == 30
        options["timeout"] = httpx.Timeout(5, read=0.1)
        return super().build_request(*args, **options)


def test_a_stream_that_falls_silent_is_attached_to_again() -> None:
    silent = Reply(200, HEAD, [stream(BEGUN)], end="held")
    with ImpatientClient() as impatient, answering(
        silent, whole(ENDED[2:]), http_client=impatient
    ) as (_, client, _clock):  # fmt: skip
        assert client.runs.stream(AGENT, "hello").text() == "a"


def test_a_replay_that_pauses_ends_once_nothing_follows() -> None:
    run = RecordedRun(PAUSED_AND_CONTINUED[:4])
    with serving(run.respond) as server, Client(server.url, "t", clock=InstantClock()) as client:
        assert client.runs.attach(AGENT, RUN_ID).result().status == "PAUSED"
    assert [asked.last_event_id for asked in server.asked] == [0, 4]


def test_a_replay_that_pauses_ends_if_nobody_can_be_asked_what_follows() -> None:
    told = PAUSED_AND_CONTINUED[:4]
    with answering(whole(told), Reply(503), max_reattaches=2) as (server, client, _):
        assert client.runs.attach(AGENT, RUN_ID).result().status == "PAUSED"
    assert len(server.asked) == 4


def test_a_run_that_is_gone_ends_the_stream_with_an_error() -> None:
    with answering(cut(BEGUN), Reply(404)) as (_, client, _clock), pytest.raises(NotFoundError):
        client.runs.stream(AGENT, "hello").text()


def test_an_api_that_is_busy_is_asked_again_when_it_says() -> None:
    busy = Reply(429, {"retry-after": "7"})
    with answering(busy, cut(BEGUN), busy, whole(ENDED[2:])) as (_, client, clock):
        assert client.runs.stream(AGENT, "hello").text() == "a"
    assert clock.slept.count(7.0) == 2


def test_an_api_that_is_busy_for_long_is_the_callers_to_decide() -> None:
    with (
        answering(Reply(429, {"retry-after": "3600"})) as (server, client, _),
        pytest.raises(TooManyRunsError) as caught,
    ):
        client.runs.stream(AGENT, "hello").text()
    assert caught.value.retry_after == 3600
    assert len(server.asked) == 1


def test_a_first_request_is_not_tried_for_as_long_as_a_stream() -> None:
    with (
        answering(Reply(503), max_retries=2) as (server, client, _),
        pytest.raises(UnavailableError),
    ):
        client.runs.stream(AGENT, "hello").text()
    assert len(server.asked) == 3


def test_a_host_that_is_not_there_is_an_error_after_some_tries() -> None:
    clock = InstantClock()
    with serving(lambda _: SILENT) as server:
        nobody = server.url
    with Client(nobody, "token", clock=clock) as client, pytest.raises(ConnectionFailedError):
        client.runs.stream(AGENT, "hello").text()
    assert len(clock.slept) == 3


def tokens(*values: str) -> Callable[[], str]:
    left = itertools.chain(values, itertools.repeat(values[-1]))
    return lambda: next(left)


def respond_to(token: str, reply: Reply) -> Callable[[Asked], Reply]:
    def respond(asked: Asked) -> Reply:
        is_good = asked.headers["authorization"] == f"Bearer {token}"
        return reply if is_good else Reply(401, {"www-authenticate": BEARER})

    return respond


def test_a_token_that_has_expired_is_asked_for_once_more() -> None:
    with (
        serving(respond_to("new", whole(ENDED))) as server,
        Client(server.url, tokens("old", "new"), clock=InstantClock()) as client,
    ):
        assert client.runs.stream(AGENT, "hello").text() == "a"
        assert len(server.asked) == 2


class Kept:
    """A source of tokens that keeps one until that is refused."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.told: list[str] = []

    def __call__(self) -> str:
        return self.values[0]

    def refused(self, token: str) -> None:
        self.told.append(token)
        self.values.remove(token)


def test_a_source_of_tokens_is_told_which_one_was_refused() -> None:
    source, replies = Kept("old", "new"), respond_to("new", whole(ENDED))
    with serving(replies) as server, Client(server.url, source, clock=InstantClock()) as client:
        assert client.runs.stream(AGENT, "hello").text() == "a"
        assert len(server.asked) == 2
    assert source.told == ["old"]


@pytest.mark.anyio
async def test_a_source_of_an_async_client_is_told_likewise() -> None:
    source, replies = Kept("old", "new"), respond_to("new", Reply(pieces=[b"[]"]))
    with serving(replies) as server:
        async with AsyncClient(server.url, source, clock=AsyncInstantClock()) as client:
            assert await client.agents.list() == []
    assert source.told == ["old"]


def test_a_token_that_expires_in_mid_stream_is_asked_for_again() -> None:
    replies = iter([cut(BEGUN), Reply(401), whole(ENDED[2:])])
    with (
        serving(lambda _: next(replies)) as server,
        Client(server.url, tokens("a", "b", "c"), clock=InstantClock()) as client,
    ):
        assert client.runs.stream(AGENT, "hello").text() == "a"
        used = [asked.headers["authorization"] for asked in server.asked]
    assert used == ["Bearer a", "Bearer b", "Bearer c"]


@pytest.mark.parametrize(("token", "requests"), [("bad", 1), (lambda: "bad", 2)])
def test_a_token_that_does_not_verify_is_an_error(
    token: str | Callable[[], str], requests: int
) -> None:
    with (
        serving(respond_to("good", whole(ENDED))) as server,
        Client(server.url, token, clock=InstantClock()) as client,
        pytest.raises(AuthenticationError),
    ):
        client.runs.stream(AGENT, "hello").text()
    assert len(server.asked) == requests
