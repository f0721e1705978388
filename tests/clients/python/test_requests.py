"""What is sent: paths, queries, headers and bodies, and what is sent again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import jsonschema_rs
import pytest

from agentrun_client import (
    ApiError,
    Budget,
    Client,
    ConnectionFailedError,
    Decision,
    InternalServerError,
    Media,
    RunFailedError,
    RunOptions,
    UnavailableError,
    Verdict,
    Webhook,
    approve,
    reject,
)
from agentrun_client.wire import other_calls, run_calls
from agentrun_client.wire.settings import settings_of
from tests.clients.python.instant import InstantClock
from tests.clients.python.recorded import AGENT, LOST_AND_TAKEN_OVER, RUN_ID, RecordedRun
from tests.clients.python.stand_in import SILENT, Asked, Reply, StandIn, serving

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text())
RUN = {
    "id": RUN_ID,
    "agentId": AGENT,
    "sessionId": "s1",
    "userId": "ana",
    "orgId": "acme",
    "status": "COMPLETED",
    "createdAt": "2026-11-22T19:41:23.123Z",
    "updatedAt": "2026-11-22T19:41:23.123Z",
    "attempt": 1,
    "version": 1,
}


def answer(told: object, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, [json.dumps(told).encode()])


def asked_by(call: Callable[[Client], object], *replies: Reply, **options: Any) -> StandIn:
    """Return what one call sends; the last reply is for the rest."""
    left = list(replies)

    def respond(_: Asked) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    with serving(respond) as server:
        with Client(f"{server.url}/live", "token", clock=InstantClock(), **options) as client:
            call(client)
        return server


def schema(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        {**DOCUMENT["components"]["schemas"][name], "components": DOCUMENT["components"]}
    )


def test_all_that_a_run_can_be_started_with_is_as_described() -> None:
    call = run_calls.background(
        AGENT,
        "hello",
        {
            "session_id": "3f1d7a52-6c0b-4e8e-9d0a-51b2c7e4f8a6",
            "media": [
                Media.from_bytes(b"\x89PNG", "image/png"),
                Media.from_url("https://a.b/c", "image/gif"),
            ],
            "options": RunOptions("demo", 0.5, 100, "Be brief.", 0.1, 1000),
            "webhook": Webhook("https://a.example/hook", ["run.failed"]),
            "generate_followups": True,
            "user_id": "ben",
            "session_policy": "enqueue",
            "idempotency_key": "key",
        },
    )
    body = json.loads(call.body or b"")
    schema("RunRequest").validate(body)
    assert set(body) == set(DOCUMENT["components"]["schemas"]["RunRequest"]["properties"]) - {
        "orgId"
    }
    assert set(body["options"]) == set(
        DOCUMENT["components"]["schemas"]["RunOptions"]["properties"]
    )
    assert body["media"][0] == {"type": "image/png", "data": "iVBORw=="}
    assert call.headers["Idempotency-Key"] == "key"
    assert call.headers["X-Session-Policy"] == "enqueue"


def test_what_is_not_said_is_not_sent() -> None:
    call = run_calls.create(AGENT, "hello", {"session_id": None, "options": None, "media": []})
    assert call.body == b'{"message":"hello"}'
    assert "X-Session-Policy" not in call.headers


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sesion_id": "s"}, r"no option `sesion_id`, only generate_followups, .*session_id"),
        ({"idempotencykey": "k", "session_id": "s"}, "no option `idempotencykey`"),
        ({"temperature": 0}, "no option `temperature`"),
        ({"options": {"temperature": 5}}, "`options` takes RunOptions, not dict"),
        ({"webhook": "https://a.example"}, "`webhook` takes Webhook, not str"),
        ({"media": Media("image/png", "")}, "`media` takes a sequence of Media, not Media"),
        ({"media": [{"type": "image/png"}]}, r"`media\[0\]` takes Media, not dict"),
        ({"media": "dot.png"}, "`media` takes a sequence of Media, not str"),
    ],
)
def test_an_option_that_would_be_lost_is_refused_at_once(options: Any, told: str) -> None:
    with Client("http://127.0.0.1:1", "token") as client:
        for start in (client.runs.stream, client.runs.create, client.runs.background):
            with pytest.raises(TypeError, match=told):
                start(AGENT, "hello", **options)


@pytest.mark.parametrize(
    ("decisions", "budget", "told"),
    [
        ("APPROVE", None, "`decisions` takes a sequence of Decision, not str"),
        ({"id": "a"}, None, "`decisions` takes a sequence of Decision, not dict"),
        (Decision("a", "APPROVE"), None, "`decisions` takes a sequence of Decision, not Decision"),
        ([{"id": "a"}], None, r"`decisions\[0\]` takes Decision, not dict"),
        (approve(), {"max_cost_usd": 1}, "`budget` takes Budget, not dict"),
    ],
)
def test_a_decision_of_another_kind_is_refused_at_once(
    decisions: Any, budget: Any, told: str
) -> None:
    with Client("http://127.0.0.1:1", "token") as client, pytest.raises(TypeError, match=told):
        client.runs.resume(AGENT, RUN_ID, decisions, budget=budget)


def test_an_approval_is_resolved_by_a_verdict() -> None:
    with pytest.raises(TypeError, match="`verdict` takes Verdict, not str"):
        other_calls.resolve_approval("p", cast("Any", "APPROVED"))


@pytest.mark.parametrize(
    ("decisions", "budget", "body"),
    [
        (approve(), None, {"action": "APPROVE"}),
        (reject("No."), None, {"action": "REJECT", "reason": "No."}),
        (approve(), Budget(None, 9), {"action": "APPROVE", "budget": {"maxTotalTokens": 9}}),
        (
            [Decision("a", "APPROVE", arguments={"n": 5}), Decision("b", "REJECT", "No.")],
            None,
            {"decisions": [
                {"id": "a", "action": "APPROVE", "arguments": {"n": 5}},
                {"id": "b", "action": "REJECT", "reason": "No."},
            ]},
        ),
        (
            [Decision("a", "APPROVE", result=None)],
            None,
            {"decisions": [{"id": "a", "action": "APPROVE", "result": None}]},
        ),
    ],
)  # fmt: skip
def test_a_decision_is_as_described(decisions: Any, budget: Any, body: Any) -> None:
    sent = json.loads(run_calls.resume(AGENT, RUN_ID, decisions, budget).body or b"")
    assert sent == body
    schema("ContinueRequest").validate(sent)


@pytest.mark.parametrize("verdict", [approve(), reject(), reject("No.")])
def test_a_decision_by_its_approval_is_as_described(verdict: Verdict) -> None:
    body = json.loads(other_calls.resolve_approval("p", verdict).body or b"")
    schema("ResolveRequest").validate(body)
    assert body["decision"] == {"APPROVE": "APPROVED", "REJECT": "REJECTED"}[verdict.action]


def test_every_call_has_a_path_of_the_description() -> None:
    def call_all(client: Client) -> None:
        for each in (
            lambda: client.agents.list(include_inactive=True),
            lambda: client.agents.get("a"),
            lambda: client.runs.create("a", "m"),
            lambda: client.runs.background("a", "m"),
            lambda: client.runs.stream("a", "m").text(),
            lambda: client.runs.attach("a", "r").text(),
            lambda: client.runs.resume("a", "r", approve()).text(),
            lambda: client.runs.get("r"),
            lambda: client.runs.get_many("a", ["r"], "summary"),
            lambda: list(
                client.runs.list(status="PAUSED", agent_id="a", session_id="s", user_id="u")
            ),
            lambda: client.runs.cancel("r"),
            lambda: client.runs.stream_ticket("a", "r"),
            lambda: list(client.sessions.list(agent_id="a", user_id="u")),
            lambda: client.sessions.get("s"),
            lambda: client.sessions.runs("s"),
            lambda: client.sessions.messages("s"),
            lambda: client.sessions.delete("s"),
            lambda: list(client.approvals.pending()),
            lambda: client.approvals.get("p"),
            lambda: client.approvals.resolve("p", reject("No.")),
            client.health,
        ):
            with pytest.raises(ApiError):
                each()

    server = asked_by(call_all, Reply(400))
    assert len(server.asked) == 21
    for asked in server.asked:
        operation = operation_of(asked)
        assert operation is not None, asked
        names = set(query_of(asked))
        known = {parameter_name(each) for each in operation.get("parameters", ())}
        assert names <= known, (asked.target, known)


def operation_of(asked: Asked) -> dict[str, Any] | None:
    steps = asked.path.removeprefix("/live").split("/")
    paths = {**DOCUMENT["paths"], "/api/agents/{agentId}/runs/{runId}/stream-ticket": {"post": {}}}
    for pattern, methods in paths.items():
        parts = pattern.split("/")
        if len(parts) == len(steps) and all(
            part == step or part.startswith("{") for part, step in zip(parts, steps, strict=True)
        ):
            found: dict[str, Any] | None = methods.get(asked.method.lower())
            if found is not None:
                return found
    return None


def query_of(asked: Asked) -> list[str]:
    query = asked.target.partition("?")[2]
    return [pair.partition("=")[0] for pair in query.split("&") if pair]


def parameter_name(parameter: dict[str, Any]) -> str:
    if "$ref" in parameter:
        parameter = DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    name: str = parameter["name"]
    return name


def test_ids_cannot_name_other_paths() -> None:
    server = asked_by(lambda client: client.runs.cancel("a/../b?c#d"), Reply(204))
    assert server.asked[0].target == "/live/api/v1/runs/a%2F..%2Fb%3Fc%23d/cancel"
    with Client("http://a.example") as client:
        for nothing in ("", ".", ".."):
            with pytest.raises(ValueError, match="cannot be an id"):
                client.runs.get(nothing)


def test_what_runs_agents_goes_to_the_function_url() -> None:
    run = RecordedRun(LOST_AND_TAKEN_OVER)
    with serving(run.respond) as function_url:

        def read(client: Client) -> None:
            client.runs.stream(AGENT, "hello").text()
            client.runs.get(RUN_ID)

        rest = asked_by(read, answer(RUN), stream_url=function_url.url)
    assert rest.paths() == [f"GET /live/api/v1/runs/{RUN_ID}"]
    assert function_url.paths() == [f"POST /api/agents/{AGENT}/runs/stream"]


def test_health_needs_no_token() -> None:
    server = asked_by(lambda client: client.health(), answer({"status": "UP"}))
    assert "authorization" not in server.asked[0].headers


def test_all_pages_are_read_but_no_more_than_needed() -> None:
    first = answer({"content": [RUN, {**RUN, "id": "r2"}], "size": 2, "nextCursor": "kq0+/c"})
    empty = answer({"content": [], "size": 2, "nextCursor": "x"})
    last = answer({"content": [{**RUN, "id": "r3", "news": 1}], "size": 2})
    found: list[str] = []
    server = asked_by(lambda c: found.extend(run.id for run in c.runs.list()), first, empty, last)
    assert found == [RUN_ID, "r2", "r3"]
    assert [asked.target for asked in server.asked] == [
        "/live/api/v1/runs?size=100",
        "/live/api/v1/runs?size=100&cursor=kq0%2B%2Fc",
        "/live/api/v1/runs?size=100&cursor=x",
    ]
    server = asked_by(lambda client: next(client.runs.list()), first)
    assert len(server.asked) == 1


def test_many_runs_are_read_a_hundred_at_a_time() -> None:
    ids = [f"r{number}" for number in range(250)]
    server = asked_by(lambda c: c.runs.get_many(AGENT, [*ids, *ids], "summary"), answer([RUN]))
    sizes = [asked.target.count("%2C") + 1 for asked in server.asked]
    assert sizes == [100, 100, 50]
    assert asked_by(lambda client: client.runs.get_many(AGENT, []), answer([])).asked == []


@pytest.mark.parametrize("failure", [SILENT, Reply(500), Reply(502), Reply(504), Reply(503)])
def test_a_read_is_repeated_after_a_failure(failure: Reply) -> None:
    server = asked_by(lambda client: client.runs.get(RUN_ID), failure, answer(RUN))
    assert len(server.asked) == 2


@pytest.mark.parametrize("failure", [SILENT, Reply(500), Reply(502), Reply(504), Reply(503)])
def test_a_start_is_repeated_with_its_key(failure: Reply) -> None:
    queued = answer({"runId": "r", "sessionId": "s", "status": "QUEUED"}, 202)
    server = asked_by(lambda client: client.runs.background(AGENT, "hello"), failure, queued)
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1
    assert len(server.asked) == 2


@pytest.mark.parametrize("failure", [SILENT, Reply(500), Reply(502), Reply(504)])
def test_a_decision_by_its_approval_is_not_repeated_blindly(failure: Reply) -> None:
    def decide(client: Client) -> None:
        with pytest.raises((InternalServerError, UnavailableError, ConnectionFailedError)):
            client.approvals.resolve("p", approve())

    assert len(asked_by(decide, failure, answer(RUN)).asked) == 1


def test_a_failed_run_is_not_started_again() -> None:
    failed = {"type": "urn:problem-type:run-failed", "detail": "No.", "runId": "r"}

    def start(client: Client) -> None:
        with pytest.raises(RunFailedError, match=r"No\."):
            client.runs.create(AGENT, "hello")

    assert len(asked_by(start, answer(failed, 502), answer(RUN)).asked) == 1


def test_a_run_that_outlasts_its_answer_is_waited_for_longer_than_a_host_that_is_away() -> None:
    goes_on = {"type": "urn:problem-type:unavailable", "detail": "It goes on.", "runId": "r"}

    def create(client: Client) -> None:
        with pytest.raises((UnavailableError, ConnectionFailedError)):
            client.runs.create(AGENT, "hello")

    for reply, requests in (
        (answer(goes_on, 503), 11),
        (Reply(504), 11),
        (SILENT, 11),
        (Reply(503), 4),
        (Reply(502), 4),
    ):
        server = asked_by(create, reply)
        assert len(server.asked) == requests
        assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1


def test_an_answer_may_take_as_long_as_a_gateway_waits() -> None:
    settings = settings_of(
        "https://a.example", None, max_retries=3, max_reattaches=10, can_renew_token=False
    )
    waits = settings.request(run_calls.create(AGENT, "m", {}), None)["timeout"]
    silent = settings.request(run_calls.attach(AGENT, RUN_ID, 0), None)["timeout"]
    assert (waits.read, silent.read, silent.connect) == (310.0, 30.0, 10.0)


def test_a_client_of_ones_own_is_used_and_stays_open() -> None:
    with (
        serving(lambda _: answer([])) as server,
        httpx.Client(headers={"x-mine": "1"}, follow_redirects=True) as mine,
    ):
        with Client(server.url, "token", http_client=mine) as client:
            client.agents.list()
        assert not mine.is_closed
    assert server.asked[0].headers["x-mine"] == "1"
