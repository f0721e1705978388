"""`agentrun smoke` on the local stack, and on stacks that are broken in one point each."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Event

import httpx
import pytest

from agentrun_local.cli import main
from agentrun_local.smoke.outcome import Verdict
from agentrun_local.smoke.suite import CHECKS, Row, slug, try_all, try_one
from agentrun_local.smoke.target import Door, Limits, Target
from tests.e2e.conftest import LocalStack
from tests.spoiling_proxy import SILENCE, Asked, Forward, Spoil, Spoilt, spoiling_proxy

REST, URL = Door.REST, Door.URL
PATIENT = Limits(answer_s=60, end_s=30, silence_s=60, cancel_s=20, long_s=1.2, tries=5)
"""For points that hold, on a machine with much else to do."""
BRISK = Limits(answer_s=60, end_s=1, silence_s=60, cancel_s=1, long_s=1.2, tries=1)
"""For points that fail whatever the machine does."""


def target_of(stack: LocalStack, limits: Limits, **choices: object) -> Target:
    doors = {REST: stack.rest_api, URL: stack.function_url}
    return replace(Target(doors, stack.token(), limits=limits), **choices)  # type: ignore[arg-type]


def test_every_point_holds_on_the_local_stack(local_stack: LocalStack) -> None:
    target = target_of(local_stack, PATIENT, long=True, model_agent="docs_assistant")
    rows = list(try_all(target))
    failed = [(row.check.name, row.door, row.outcome.seen) for row in rows if row.remedy]
    assert failed == []
    untried = {slug(row.check) for row in rows if row.outcome.verdict is Verdict.NOT_TRIED}
    assert untried == {"status-at-limit"}
    assert target.delete_sessions()
    assert {spent.model for spent in target.spent.values()} == {"demo"}


# How a stack is broken. Each answers as the stack does, but for one thing.


def when(condition: Callable[[Asked, Spoilt], bool], spoil: Callable[[Spoilt], Spoilt]) -> Spoil:
    """Spoil the answers that a condition picks."""

    def answer(asked: Asked, forward: Forward) -> Spoilt:
        right = forward(asked)
        return spoil(right) if condition(asked, right) else right

    return answer


def to(method: str, path: str = "") -> Callable[[Asked, Spoilt], bool]:
    return lambda asked, _: asked.method == method and path in asked.path


def with_status(status: int) -> Callable[[Asked, Spoilt], bool]:
    return lambda _, answer: answer.status == status


def is_stream(_: Asked, answer: Spoilt) -> bool:
    return answer.streams


def endless(answer: Spoilt) -> Spoilt:
    return replace(answer, ends=False)


def answered(status: int, body: object = None) -> Callable[[Spoilt], Spoilt]:
    return lambda right: replace(right, status=status, body=[json.dumps(body).encode()])


def rewritten(old: bytes, new: bytes) -> Callable[[Spoilt], Spoilt]:
    return lambda right: replace(right, body=(piece.replace(old, new) for piece in right.body))


def joined(answer: Spoilt, enough: Callable[[bytes], bool]) -> Spoilt:
    """Hold the body's pieces back until there is enough of them."""

    def pieces() -> Iterator[bytes]:
        held = b""
        for piece in answer.body:
            held += piece
            if enough(held):
                yield held
                held = b""
        yield held

    return replace(answer, body=pieces())


def in_one_piece(answer: Spoilt) -> Spoilt:
    return joined(answer, lambda _: False)


def first_piece_held_back(answer: Spoilt) -> Spoilt:
    return joined(answer, lambda held: b"_DELTA" in held)


def in_bursts(answer: Spoilt) -> Spoilt:
    return joined(answer, lambda held: held.count(b"CONTENT_DELTA") >= 3)


def without_event(number: int) -> Callable[[Spoilt], Spoilt]:
    def spoil(answer: Spoilt) -> Spoilt:
        whole = in_one_piece(answer)
        lost = re.compile(rb"(?:retry: 1000\n)?id: %d\n.*\n\n" % number)
        return replace(whole, body=(lost.sub(b"", piece) for piece in whole.body))

    return spoil


def cut_before_its_end(answer: Spoilt) -> Spoilt:
    """End a stream properly, but before its last events."""

    def pieces() -> Iterator[bytes]:
        for piece in answer.body:
            if b"METRICS" in piece:
                return
            yield piece

    return replace(answer, body=pieces())


def swallow_cancels(asked: Asked, forward: Forward) -> Spoilt:
    """Say 204 to a cancel, and keep it; the stream is ended as if the run had stopped."""
    if asked.method == "DELETE":
        return Spoilt(204, [], [])
    answer = forward(asked)
    return replace(answer, body=_up_to(answer.body, 20)) if answer.streams else answer


def _up_to(body: Iterable[bytes], count: int) -> Iterator[bytes]:
    for number, piece in enumerate(body):
        yield piece
        if number == count:
            yield b'id: 999\ndata: {"event":"STOP","data":"{}","timestamp":1}\n\n'
            return


class LateCancels:
    """Says 204 at once, and hands a cancel on only after 30 more events, 3 s in all."""

    def __init__(self, rest_api: str) -> None:
        self.rest_api = rest_api
        self.kept: Asked | None = None
        self.asked = Event()

    def __call__(self, asked: Asked, forward: Forward) -> Spoilt:
        if asked.method == "DELETE":
            self.kept = asked
            self.asked.set()
            return Spoilt(204, [], [])
        answer = forward(asked)
        return replace(answer, body=self._slow(answer.body)) if answer.streams else answer

    def _slow(self, body: Iterable[bytes]) -> Iterator[bytes]:
        since = 0
        for piece in body:
            since += self.asked.is_set()
            if since == 30 and self.kept is not None:
                bearer = {"Authorization": self.kept.headers["authorization"]}
                httpx.delete(f"{self.rest_api}{self.kept.path}", headers=bearer, timeout=60)
            yield piece


TWO_ORIGINS = [("access-control-allow-origin", "*")]


def doubled_origin(answer: Spoilt) -> Spoilt:
    return replace(answer, headers=[*answer.headers, *TWO_ORIGINS])


def reversed_list(answer: Spoilt) -> Spoilt:
    return replace(answer, body=[json.dumps(json.loads(b"".join(answer.body))[::-1]).encode()])


@dataclass(frozen=True)
class Broken:
    """One way to be broken, at one door; `seen` is found in what the row says."""

    check: str
    door: Door
    spoil: Spoil
    seen: str


def _at_both(check: str, spoil: Spoil, seen: str) -> list[Broken]:
    return [Broken(check, door, spoil, seen) for door in (REST, URL)]


BROKEN = [
    Broken("health", REST, when(to("GET", "/health"), answered(503)), "answered 503"),
    Broken("health", REST, when(to("GET", "/health"), answered(200, {})), "answered 200"),
    *_at_both("refused-token", when(with_status(401), answered(200)), "no token: answered 200"),
    *_at_both("refused-token", when(with_status(401), answered(401)), "not with the API's"),
    Broken("accepted-token", REST, when(with_status(200), answered(401)), "answered 401"),
    Broken("accepted-token", URL, when(with_status(404), answered(403)), "answered 403"),
    *_at_both("cors-preflight", when(with_status(200), doubled_origin), "origin twice"),
    *_at_both("cors-preflight", when(with_status(401), doubled_origin), "answer after it names"),
    *_at_both(
        "cors-preflight",
        when(to("OPTIONS"), lambda right: right.without("access-control-allow-headers")),
        "does not allow authorization",
    ),
    *_at_both("cors-preflight", when(to("OPTIONS"), answered(403)), "answered 403"),
    *_at_both("start-first", when(is_stream, first_piece_held_back), "arrived 0.0 s before it"),
    *_at_both("start-first", when(is_stream, in_one_piece), "arrived 0.0 s before it"),
    *_at_both("frames-one-by-one", when(is_stream, in_bursts), "came together"),
    *_at_both("frames-one-by-one", when(is_stream, in_one_piece), "9 of 9 came together"),
    *_at_both(
        "header-names",
        when(with_status(401), lambda right: right.without("www-authenticate")),
        "nothing of WWW-Authenticate",
    ),
    *_at_both(
        "header-names",
        when(is_stream, lambda right: right.without("x-accel-buffering", "x-session-id")),
        "without x-accel-buffering, x-session-id",
    ),
    Broken(
        "ticket", URL, when(to("GET", "?ticket="), answered(401)), "opened the stream: answered"
    ),
    Broken("ticket", URL, when(with_status(401), answered(200)), "opened it again: answered 200"),
    *_at_both("204-ends", when(with_status(204), endless), "serves no further request"),
    *_at_both("204-ends", when(with_status(204), answered(200)), "answered 200, not 204"),
    *_at_both("head-ends", when(to("HEAD"), endless), "serves no further request"),
    *_at_both("error-ends", when(with_status(404), endless), "404, and no end within 1 s"),
    *_at_both("cancel", swallow_cancels, "ended with STOP, not CANCELLED"),
    Broken("cancel", REST, when(to("DELETE"), answered(500)), "answered 500, not 204"),
    *_at_both("re-attach", when(to("GET", "/stream"), without_event(5)), "after event 4 came 6"),
    *_at_both("replay", when(to("GET", "/stream"), without_event(3)), "other events"),
    *_at_both("replay", when(to("GET", "/stream"), rewritten(b"two", b"2wo")), "other events"),
    Broken("status", REST, when(to("GET", "/status"), answered(503)), "answered 503"),
    Broken("status", REST, when(to("GET", "/status"), rewritten(b"two", b"2")), "not what was"),
    Broken(
        "status", REST, when(to("GET", "/status"), rewritten(b"COMPLETED", b"RUNNING")), "not COMPL"
    ),
    Broken("batch", REST, when(to("GET", "runIds="), reversed_list), "not the two that are there"),
    Broken("batch", REST, when(to("GET", "runIds="), answered(200, [])), "0 runs came"),
    Broken(
        "status-at-limit", REST, when(to("GET", "/status"), answered(503)), "503 with 2 streams"
    ),
    *_at_both("model", when(is_stream, first_piece_held_back), "START was said"),
    *_at_both("model", when(is_stream, cut_before_its_end), "without a terminal event"),
    *_at_both("long-stream", when(is_stream, cut_before_its_end), "without a terminal event"),
    *_at_both("replay", when(is_stream, rewritten(b"data: {", b"data: <")), "no documented frame"),
]


def row_of(check: str, door: Door, target: Target) -> Row:
    (chosen,) = (known for known in CHECKS if slug(known) == check)
    return Row(chosen, door, try_one(target, chosen, door), took_s=0)


def broken_target(stack: LocalStack, door: Door, proxy: str) -> Target:
    target = target_of(stack, BRISK, long=True, at_limit=2, model_agent="echo")
    target.model_message = "/emit 2 every 10 after 2000"
    return replace(target, doors={**target.doors, door: proxy})


@pytest.mark.parametrize(
    "broken", BROKEN, ids=lambda broken: f"{broken.check}-{broken.door}-{broken.seen}"
)
def test_a_point_that_is_broken_fails(local_stack: LocalStack, broken: Broken) -> None:
    upstream = local_stack.rest_api if broken.door is REST else local_stack.function_url
    with spoiling_proxy(upstream, broken.spoil) as proxy:
        target = broken_target(local_stack, broken.door, proxy)
        row = row_of(broken.check, broken.door, target)
    assert row.outcome.verdict is Verdict.FAILS, row.outcome.seen
    assert broken.seen in row.outcome.seen
    assert row.remedy


def test_every_check_is_seen_to_fail() -> None:
    seen = {(broken.check, broken.door) for broken in BROKEN}
    assert seen == {(slug(check), door) for check in CHECKS for door in check.doors}


@pytest.mark.parametrize("door", [REST, URL])
def test_a_cancel_that_takes_too_long_fails(local_stack: LocalStack, door: Door) -> None:
    late = LateCancels(local_stack.rest_api)
    with (
        spoiling_proxy(local_stack.rest_api, late) as rest,
        spoiling_proxy(local_stack.function_url, late) as url,
    ):
        target = replace(target_of(local_stack, BRISK), doors={REST: rest, URL: url})
        row = row_of("cancel", door, target)
    assert row.outcome.verdict is Verdict.FAILS
    assert re.match(r"\d+\.\d s after the 204; the limit is 1.0 s \(run ", row.outcome.seen)


@pytest.mark.parametrize("check", ["health", "batch", "error-ends"])
def test_an_answer_that_comes_too_late_fails(local_stack: LocalStack, check: str) -> None:
    def late(asked: Asked, forward: Forward) -> Spoilt:
        return SILENCE if asked.method == "GET" and asked.path != "/api/agents" else forward(asked)

    with spoiling_proxy(local_stack.rest_api, late) as proxy:
        target = broken_target(local_stack, REST, proxy)
        # The two ended runs of batch are made while there is still time for them.
        target.ended_run(1)
        target.limits = replace(BRISK, answer_s=0.4)
        row = row_of(check, REST, target)
    assert row.outcome.verdict is Verdict.FAILS
    assert row.outcome.seen == "no answer within 0.4 s"


def test_a_stack_that_is_not_there_fails_and_says_so(local_stack: LocalStack) -> None:
    with spoiling_proxy(local_stack.rest_api, lambda asked, forward: forward(asked)) as gone:
        pass
    rows = list(try_all(replace(target_of(local_stack, BRISK), doors={REST: gone, URL: gone})))
    verdicts = {row.outcome.verdict for row in rows if slug(row.check) != "long-stream"}
    assert Verdict.HOLDS not in verdicts
    assert "Connection refused" in rows[0].outcome.seen


def test_the_limit_holds_where_one_more_is_refused(local_stack: LocalStack) -> None:
    begun: list[Asked] = []

    def full(asked: Asked, forward: Forward) -> Spoilt:
        if asked.method == "POST":
            begun.append(asked)
            # One ended run is looked at, two are under way; the next is one too many.
            if len(begun) > 3:
                return Spoilt(429, [("content-type", "application/json")], [b"{}"])
        return forward(asked)

    with spoiling_proxy(local_stack.function_url, full) as proxy:
        target = replace(
            target_of(local_stack, PATIENT, at_limit=2),
            doors={REST: local_stack.rest_api, URL: proxy},
        )
        row = row_of("status-at-limit", REST, target)
    assert row.outcome.verdict is Verdict.HOLDS
    assert row.outcome.seen == "200 with 2 streams open, and one more answered 429"


SLOW = ("start-first", "frames-one-by-one", "cancel", "re-attach")


def smoke(stack: LocalStack, *options: str, rest: str | None = None) -> int:
    """Run the command on a stack without the checks that take seconds."""
    skipped = [word for check in SLOW for word in ("--skip", check)]
    where = ("--base-url", rest or stack.rest_api, "--function-url", stack.function_url)
    return main(["smoke", *where, *skipped, *options])


def test_the_command_prints_a_table_and_its_status_is_0(
    local_stack: LocalStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_TOKEN", local_stack.token())
    assert smoke(local_stack) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + sum(len(check.doors) for check in CHECKS)
    assert "| cancel            | REST API     | not tried | left out by --skip |" in lines
    assert "0 fails" in said
    assert "nothing to pay" in said
    assert "Its runs have been deleted." in said
    assert local_stack.token() not in said


def test_the_status_is_1_when_a_point_fails_and_its_runs_are_kept(
    local_stack: LocalStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_TOKEN", local_stack.token())
    ill = when(to("GET", "/health"), answered(503))
    with spoiling_proxy(local_stack.rest_api, ill) as proxy:
        assert smoke(local_stack, "--json", rest=proxy) == 1
    said = json.loads(capsys.readouterr().out)
    (failed,) = (check for check in said["checks"] if check["outcome"] == "fails")
    assert (failed["check"], failed["door"], failed["seen"]) == ("health", "rest", "answered 503")
    assert "RestApiBaseUrl" in failed["remedy"]
    assert (said["holds"], said["runsDeleted"]) == (False, False)
