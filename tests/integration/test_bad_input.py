"""What no client should send, as Lambda would hand it on: refused with a 4xx, never a failure."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from tests.integration.conftest import AppModule, Bearer
from tests.integration.gateway import Gateway
from tests.lambda_http_events import function_url_event

NOBODY = UUID(int=7)
ECHO = "/api/agents/echo/runs"
LONG = "x" * 8_000


@pytest.fixture(scope="module")
def client(app_module: AppModule) -> Iterator[TestClient]:
    """Reach the stream function's app, whose unhandled errors are the test's."""
    with TestClient(app_module("stream").app) as client:
        yield client


@pytest.fixture(scope="module")
def gateway(app_module: AppModule) -> Gateway:
    return Gateway(app_module("status").handler, scope="runs:read runs:write")


@pytest.fixture(scope="module")
def call_url(app_module: AppModule, bearer: Bearer) -> Iterator[Callable[..., tuple[int, Any]]]:
    """Return a call of the stream function as its URL makes it, for status and body."""
    handler = app_module("stream").handler

    def call(path: str, method: str = "GET", **changes: Any) -> tuple[int, Any]:
        event = function_url_event(path, method, body=changes.pop("body", None)) | changes
        event["headers"] |= bearer() | {"content-type": "application/json"}
        answer = handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    yield call
    handler.close()


def is_a_problem(status: int, body: Any, *allowed: int) -> bool:
    """Tell whether an answer is one of these, and says what it is about in a few words."""
    assert status in allowed, (status, body)
    assert body["status"] == status
    assert body["type"].startswith("urn:problem-type:")
    assert len(json.dumps(body)) < 1_500
    return True


PATHS = [
    "",
    "/",
    "//",
    "//api/agents",
    "/api//agents",
    "/api/agents/",
    "/api/agents/../../etc/passwd",
    "/api/agents/echo/..",
    "/api/agents/echo%2fruns%2fstream",
    "/api/agents/echo%2Fruns/stream",
    "/api/agents/%00/runs/x",
    "/api/agents/echo/runs/%00",
    "/api/agents/echo/runs/%00/stream",
    "/api/agents/echo/runs/..%2f..%2fx/stream",
    "/api/agents/echo/runs/%252e%252e/stream",
    "/api/agents/echo/runs/%ff%fe/stream",
    "/api/agents/echo/runs/%ed%a0%80/stream",
    "/api/agents/echo/runs/%/stream",
    "/api/agents/echo/runs/%zz/stream",
    "/api/agents/echo/runs//stream",
    "/api/agents/echo/runs/x/stream/",
    "/api/agents/echo/runs/x;y=z/stream",
    "/api/agents/echo/runs/x?y/stream",
    "/api/agents/echo/runs/x%23y/stream",
    "/api/agents/echo/runs/ORG%23acme/stream",
    "/api/agents/echo/runs/%F0%9F%98%80/stream",
    "/api/agents/echo/runs/[::1/stream",
    "/api/agents/echo/runs/%0d%0aSet-Cookie:x=y/stream",
    f"/api/agents/{LONG}",
    f"/api/agents/echo/runs/{LONG}",
    f"/api/agents/echo/runs/{LONG}/stream",
    f"/api/agents/{LONG}/runs/x/stream",
    f"/api/sessions/{LONG}",
    f"/api/sessions/{LONG}/messages",
    "/api/sessions/%00",
    "/api/sessions/../agents/runs",
    "/api/v1/openapi.json/",
    "/API/AGENTS",
    "http://evil.example/api/agents/x/y",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_is_more_than_missing(
    gateway: Gateway, call_url: Callable[..., tuple[int, Any]], path: str
) -> None:
    assert is_a_problem(*gateway.get(path), 404, 405)
    assert is_a_problem(*call_url(path), 404, 405)


@pytest.mark.parametrize("name", [LONG, "\0", "..", "%2e%2e", "a/b", "é", "\U0001f600"])
@pytest.mark.parametrize("path", ["/api/v1/approvals/{}/resolve", "/api/agents/{}/runs"])
def test_a_name_that_cannot_be_is_missing(
    client: TestClient, bearer: Bearer, path: str, name: str
) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    body = {"message": "m", "decision": "APPROVED"}
    answer = client.post(path.format(quoted), json=body, headers=bearer())
    assert is_a_problem(answer.status_code, answer.json(), 404)


METHODS = ["PUT", "PATCH", "HEAD", "TRACE", "OPTIONS", "QUERY", "M" * 3_000]


@pytest.mark.parametrize("method", METHODS)
def test_another_method_is_405_and_says_which_are_allowed(
    client: TestClient, bearer: Bearer, method: str
) -> None:
    for path, allowed in {ECHO: "POST", f"{ECHO}/x/stream": "GET"}.items():
        answer = client.request(method, path, headers=bearer())
        assert answer.status_code == 405
        assert allowed in answer.headers["allow"]
        assert len(answer.text) < 500


NO_NUMBERS = ["", "x", "-1", "1.5", "1e3", "NaN", "\u0661\u0660", "9" * 5_000]
OF_SESSIONS = {
    "size": [*NO_NUMBERS, "0", "101", "10,ten"],
    "page": [*NO_NUMBERS, "1000001"],
    "cursor": ["x", "\0", "=" * 300, "é"],
    "agentId": ["a" * 65],
    "userId": ["u" * 257],
}
QUERIES: list[tuple[str, dict[str, list[str]]]] = [
    ("/api/agents", {"includeInactive": ["maybe"]}),
    ("/api/agents", {"includeInactive": [""]}),
    *(
        ("/api/sessions", {name: value.split(",")})
        for name, values in OF_SESSIONS.items()
        for value in values
    ),
    (f"{ECHO}/status", {}),
    (f"{ECHO}/status", {"fields": ["x"], "runIds": ["a"]}),
    (f"{ECHO}/status", {"fields": ["full,summary"], "runIds": ["a"]}),
    (f"{ECHO}/status", {"runIds": [f"r{n}" for n in range(101)]}),
    (f"{ECHO}/status", {"runids": ["a"]}),
]


@pytest.mark.parametrize(("path", "query"), QUERIES)
def test_a_bad_query_names_what_is_wrong(
    gateway: Gateway, path: str, query: dict[str, list[str]]
) -> None:
    status, body = gateway.get(path, **query)
    assert is_a_problem(status, body, 400)
    missing = "runids" in query or not query
    assert body["invalidParams"][0]["name"] == ("runIds" if missing else next(iter(query)))


def test_of_a_parameter_that_stands_twice_the_last_one_counts(gateway: Gateway) -> None:
    assert gateway.get("/api/sessions", size=["5", "7"])[1]["size"] == 7
    both = gateway.get(f"{ECHO}/status", runIds=["\0,é,,", " ", LONG, "a" * 64], fields=["summary"])
    assert both == (200, [])


HEADERS: dict[str, list[tuple[str, str]]] = {
    "an empty key": [("Idempotency-Key", "")],
    "a long key": [("Idempotency-Key", "k" * 256)],
    "a key with a space": [("Idempotency-Key", "a b")],
    "a key with a tab": [("Idempotency-Key", "a\tb")],
    "a key in Latin-1": [("Idempotency-Key", "k\xe9")],
    "two keys": [("Idempotency-Key", "a"), ("idempotency-key", "b")],
    "the same key twice": [("Idempotency-Key", "a"), ("Idempotency-Key", "a")],
    "no policy": [("X-Session-Policy", "")],
    "an unknown policy": [("X-Session-Policy", "wait")],
    "a long policy": [("X-Session-Policy", LONG)],
    "a list of policies": [("X-Session-Policy", "reject, interrupt")],
    "two policies": [("X-Session-Policy", "reject"), ("X-Session-Policy", "interrupt")],
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_bad_header_is_named(client: TestClient, bearer: Bearer, name: str) -> None:
    raw = [(key.encode(), value.encode("latin-1")) for key, value in HEADERS[name]]
    answer = client.post(
        ECHO,
        json={"message": "m"},
        headers=[*raw, (b"authorization", bearer()["Authorization"].encode())],
    )
    assert is_a_problem(answer.status_code, answer.json(), 400)
    assert answer.json()["invalidParams"][0]["name"] == HEADERS[name][0][0]


CURSORS = ["-1", "+1", "1.0", "1e3", "0x1", "1 2", "one", "\u00b2", "9" * 19, "9" * 5_000, "1,2"]


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_is_a_non_negative_integer_wherever_it_stands(
    client: TestClient, bearer: Bearer, cursor: str
) -> None:
    path = f"{ECHO}/{uuid4()}/stream"
    headers = [(b"authorization", bearer()["Authorization"].encode())]
    cursors = [(b"last-event-id", cursor.encode("latin-1"))]
    for answer in (
        client.get(path, headers=headers + cursors),
        client.get(path, headers=headers, params={"lastEventId": cursor}),
        client.get(path, headers=[*headers, (b"last-event-id", b"1"), *cursors]),
    ):
        assert is_a_problem(answer.status_code, answer.json(), 400)
        assert answer.json()["invalidParams"][0]["name"] == "Last-Event-ID"


def test_a_huge_header_that_nobody_reads_changes_nothing(
    client: TestClient, bearer: Bearer
) -> None:
    headers = bearer() | {"X-Nothing": "x" * 200_000, "Accept": "*/*," * 20_000, "Cookie": "=" * 9}
    assert client.post(ECHO, json={"message": "m"}, headers=headers).status_code == 200


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "an array": (b"[]", 400),
    "null": (b"null", 400),
    "deep": (b'{"message":' + b"[" * 100_000, 400),
    "a name twice": (b'{"message":"a","message":"b"}', 400),
    "half a pair": (rb'{"message":"\ud800"}', 400),
    "half a pair that nobody reads": (rb'{"message":"m","x":["\udfff"]}', 400),
    "a long number that nobody reads": (b'{"message":"m","x":' + b"9" * 5_000 + b"}", 400),
    "NaN that nobody reads": (b'{"message":"m","x":NaN}', 400),
    "a wrong model": (b'{"message":"m","options":{"model":"' + LONG.encode() + b'"}}', 400),
    "a wrong type": (b'{"message":{"a":1}}', 400),
    "no UTF-8": (b'{"message":"\xff"}', 400),
    "another's organisation": (b'{"message":"m","orgId":"\\u0000"}', 403),
    "too many media": (b'{"message":"m","media":[' + b"1," * 1_000_000 + b"1]}", 400),
    "too large": (b'{"message":"' + b"m" * (6 * 1024 * 1024) + b'"}', 413),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", [ECHO, f"{ECHO}/stream"])
def test_a_bad_body_is_refused_before_the_first_byte(
    client: TestClient, bearer: Bearer, path: str, name: str
) -> None:
    body, status = BODIES[name]
    headers = bearer() | {"Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = client.post(path, content=body, headers=headers)
    assert is_a_problem(answer.status_code, answer.json(), status)
    assert "x-run-id" not in answer.headers


@pytest.mark.parametrize(
    "path", [f"{ECHO}/{NOBODY}/continue", f"/api/v1/approvals/{NOBODY}.7/resolve"]
)
@pytest.mark.parametrize("name", [name for name, (_, status) in BODIES.items() if status == 400])
def test_a_bad_decision_is_refused_whether_or_not_there_is_a_run(
    client: TestClient, bearer: Bearer, path: str, name: str
) -> None:
    headers = bearer() | {"Content-Type": "application/json"}
    answer = client.post(path, content=BODIES[name][0], headers=headers)
    assert is_a_problem(answer.status_code, answer.json(), 400)


def test_a_body_that_came_as_base64_is_read_the_same(
    call_url: Callable[..., tuple[int, Any]],
) -> None:
    good = b64encode('{"message":"\U0001f600"}'.encode()).decode()
    status, body = call_url(ECHO, "POST", body=good, isBase64Encoded=True)
    assert (status, body["content"]) == (200, "\U0001f600")
    bad = b64encode(b'{"message":"\xff"}').decode()
    assert is_a_problem(*call_url(ECHO, "POST", body=bad, isBase64Encoded=True), 400)


def test_unknown_fields_are_ignored_whatever_they_hold(client: TestClient, bearer: Bearer) -> None:
    body = {"message": "m", "x": {"": [None, {"y": 1e308}]}, "options": {"top_p": 1}, "": 1}
    assert client.post(ECHO, json=body, headers=bearer()).status_code == 200


STRANGE = [
    "\0",
    "a\0b\x1f\x7f",
    "\r\n\r\ndata: {}\r\n\r\n",
    "\u2028\u2029\u0085\u00a0\ufeff\u200b",
    "e\u0301 \u00e9 \ufb01 \u212b",
    "\ufffe\uffff\U0010ffff\ufffd",
    "\u202eright to left\u202c",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    '"\\u0000\\ud800"',
    " leading and trailing ",
    "</script><!--{{7*7}}${x}%00%s",
]


@pytest.mark.parametrize("message", STRANGE)
def test_every_character_comes_back_as_it_was_sent(
    client: TestClient, gateway: Gateway, bearer: Bearer, message: str
) -> None:
    headers = bearer(sub="ana", org="acme")
    run = client.post(ECHO, json={"message": message}, headers=headers).json()
    assert run["content"] == message
    status, stored = gateway.get(f"{ECHO}/{run['runId']}")
    assert (status, stored["input"], stored["output"]) == (200, message, message)
    said = gateway.get(f"/api/sessions/{run['sessionId']}/messages")[1]
    assert [entry["content"] for entry in said] == [message, message]


def test_bodies_that_are_equal_as_json_are_one_request(client: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    spellings = [
        b'{"message":"\xc3\xa9","options":{"maxTokens":10}}',
        rb'{"options":{"maxTokens":1e1},"message":"\u00e9"}',
        rb'{ "message" : "\u00E9", "options": { "maxTokens": 10.0 } }',
    ]
    answers = [client.post(ECHO, content=body, headers=headers) for body in spellings]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["runId"] for answer in answers}) == 1
    other = client.post(ECHO, content=b'{"message":"e"}', headers=headers)
    assert is_a_problem(other.status_code, other.json(), 409)
