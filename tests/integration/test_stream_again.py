"""Coming back to runs: attaching, and sending the same request twice."""

from collections.abc import Callable
from time import time
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.conftest import Bearer
from tests.sse_blocks import blocks
from tests.tables import TABLE, client_of

AppModule = Callable[[str], ModuleType]
PATH = "/api/agents/echo/runs"


@pytest.fixture(scope="module")
def client(app_module: AppModule) -> TestClient:
    return TestClient(app_module("stream").app, raise_server_exceptions=False)


def start(client: TestClient, bearer: Bearer, message: str = "one two three") -> tuple[str, str]:
    answer = client.post(f"{PATH}/stream", json={"message": message}, headers=bearer())
    assert answer.status_code == 200
    return answer.headers["x-run-id"], answer.text


def attach(client: TestClient, run_id: str, headers: dict[str, str], **query: Any) -> Any:
    return client.get(f"{PATH}/{run_id}/stream", headers=headers, params=query)


def test_a_replay_is_the_stream_byte_for_byte(client: TestClient, bearer: Bearer) -> None:
    run_id, text = start(client, bearer, "naïve 🧑‍🚀 \r\n \u2028 end")
    answer = attach(client, run_id, bearer())
    assert answer.text == text
    assert answer.headers["x-run-id"] == run_id
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_a_replay_goes_on_after_the_last_event_id(client: TestClient, bearer: Bearer) -> None:
    run_id, text = start(client, bearer)
    _, *rest = text.split("\n\n")[1:]
    for answer in (
        attach(client, run_id, bearer() | {"Last-Event-ID": "2"}),
        attach(client, run_id, bearer(), lastEventId="2"),
    ):
        assert answer.text == "retry: 1000\n" + "\n\n".join(rest)


def test_after_the_end_there_is_nothing_more(client: TestClient, bearer: Bearer) -> None:
    run_id, text = start(client, bearer)
    last = text.count("\nid: ")
    answer = attach(client, run_id, bearer() | {"Last-Event-ID": str(last)})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "٣", "9" * 30, "1 "])
def test_a_bad_cursor_is_refused(client: TestClient, bearer: Bearer, cursor: str) -> None:
    run_id, _ = start(client, bearer)
    answer = attach(client, run_id, bearer(), lastEventId=cursor)
    assert answer.status_code == 400
    assert answer.json()["invalidParams"][0]["name"] == "Last-Event-ID"


def test_attaching_needs_a_visible_run(client: TestClient, bearer: Bearer) -> None:
    run_id, _ = start(client, bearer)
    assert attach(client, run_id, {}).status_code == 401
    assert attach(client, run_id, bearer(sub="bob", roles=[])).status_code == 404
    assert attach(client, run_id, bearer(org="umbrella")).status_code == 404
    assert attach(client, "nothing", bearer()).status_code == 404


def test_a_run_whose_first_events_have_expired_is_not_found(
    client: TestClient, bearer: Bearer
) -> None:
    headers = bearer() | {"Idempotency-Key": "expired"}
    body = {"message": "one two three"}
    answer = client.post(f"{PATH}/stream", json=body, headers=headers)
    run_id, last = answer.headers["x-run-id"], answer.text.count("\nid: ")
    table = client_of()
    for item in table.scan(TableName=TABLE)["Items"]:
        if run_id in item["pk"]["S"] and item["sk"]["S"].startswith("EV#"):
            # DynamoDB deletes it only within days.
            put_back = item | {"ttl": {"N": str(int(time()) - 1)}}
            table.put_item(TableName=TABLE, Item=put_back)
    for again in (
        attach(client, run_id, bearer()),
        client.post(f"{PATH}/stream", json=body, headers=headers),
        client.post(PATH, json=body, headers=headers),
    ):
        assert again.status_code == 404
        assert again.json()["type"] == "urn:problem-type:resource-not-found"
    assert attach(client, run_id, bearer(), lastEventId=str(last)).status_code == 204


def test_the_same_key_and_body_is_the_same_run(client: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Idempotency-Key": "key-1", "Content-Type": "application/json"}
    first = client.post(f"{PATH}/stream", content=b'{"message":"hi","x":1}', headers=headers)
    again = client.post(f"{PATH}/stream", content=b'{"x":1.0, "message":"hi"}', headers=headers)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    assert again.text == first.text


def test_a_replay_is_answered_in_the_form_asked_for(client: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Idempotency-Key": "key-2"}
    streamed = client.post(f"{PATH}/stream", json={"message": "hi"}, headers=headers)
    once = client.post(PATH, json={"message": "hi"}, headers=headers)
    assert once.headers["idempotent-replayed"] == "true"
    assert once.json()["runId"] == streamed.headers["x-run-id"]
    assert once.json()["content"] == "hi"


def test_the_same_key_for_anything_else_is_a_conflict(client: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Idempotency-Key": "key-3"}
    assert client.post(PATH, json={"message": "hi"}, headers=headers).status_code == 200
    other_body = client.post(PATH, json={"message": "ho"}, headers=headers)
    other_agent = client.post("/api/agents/analyst/runs", json={"message": "hi"}, headers=headers)
    for answer in (other_body, other_agent):
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:problem-type:conflict"


def test_another_users_key_is_another_one(client: TestClient, bearer: Bearer) -> None:
    key = {"Idempotency-Key": "key-4"}
    first = client.post(PATH, json={"message": "hi"}, headers=bearer() | key)
    other = client.post(PATH, json={"message": "hi"}, headers=bearer(sub="bob") | key)
    assert other.status_code == 200
    assert other.json()["runId"] != first.json()["runId"]


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
def test_a_malformed_key_is_refused(client: TestClient, bearer: Bearer, key: str) -> None:
    headers = {name.encode(): value.encode("latin-1") for name, value in bearer().items()}
    headers[b"Idempotency-Key"] = key.encode("latin-1")
    answer = client.post(PATH, json={"message": "hi"}, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["invalidParams"][0]["name"] == "Idempotency-Key"


def post_again(
    client: TestClient, bearer: Bearer, cursor: object, message: str, **headers: str
) -> Any:
    """Send a request as a reader does that has lost its stream after an event."""
    sent = bearer() | {"Last-Event-ID": str(cursor)} | headers
    return client.post(f"{PATH}/stream", json={"message": message}, headers=sent)


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "key-5"}])
def test_a_reader_that_posts_again_goes_on_with_its_run(
    client: TestClient, bearer: Bearer, key: dict[str, str]
) -> None:
    body = {"message": f"sent again {len(key)}"}
    first = client.post(f"{PATH}/stream", json=body, headers=bearer() | key)
    again = post_again(client, bearer, 2, body["message"], **key)
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    assert again.text == "retry: 1000\n" + first.text.split("\n\n", 2)[2]
    assert [block["id"] for block in blocks(again.content)] == ["3", "4", "5", "6"]


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "key-6"}])
def test_a_reader_that_has_read_everything_is_told_to_stop(
    client: TestClient, bearer: Bearer, key: dict[str, str]
) -> None:
    body = {"message": f"read whole {len(key)}"}
    first = client.post(f"{PATH}/stream", json=body, headers=bearer() | key)
    last = first.text.count("\nid: ")
    origin = {"Origin": "https://app.example"}
    answer = post_again(client, bearer, last, body["message"], **key, **origin)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["x-run-id"] == first.headers["x-run-id"]
    assert answer.headers["x-session-id"] == first.headers["x-session-id"]
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
    assert answer.headers["cache-control"] == "no-store"
    assert "content-type" not in answer.headers


def test_a_cursor_that_no_run_has_had_begins_one(client: TestClient, bearer: Bearer) -> None:
    run_id, text = start(client, bearer, "never so long")
    answer = post_again(client, bearer, text.count("\nid: ") + 1, "never so long")
    assert answer.headers["x-run-id"] != run_id
    assert "idempotent-replayed" not in answer.headers
    assert answer.text.startswith("retry: 1000\nid: 1\n")


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "1 2", "0x1", "9" * 30])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "key-7"}])
def test_a_reader_with_a_bad_cursor_is_refused(
    client: TestClient, bearer: Bearer, cursor: str, key: dict[str, str]
) -> None:
    answer = post_again(client, bearer, cursor, "bad cursor", **key)
    assert answer.status_code == 400
    assert answer.json()["invalidParams"][0]["name"] == "Last-Event-ID"


@pytest.mark.parametrize("cursor", ["1", "x"])
def test_a_run_that_is_answered_once_has_no_cursor(
    client: TestClient, bearer: Bearer, cursor: str
) -> None:
    headers = bearer() | {"Last-Event-ID": cursor}
    first, second = (
        client.post(PATH, json={"message": "once"}, headers=headers).json()["runId"]
        for _ in range(2)
    )
    assert first != second


def test_an_empty_cursor_is_none(client: TestClient, bearer: Bearer) -> None:
    run_id, _ = start(client, bearer, "empty")
    answer = post_again(client, bearer, "", "empty")
    assert answer.headers["x-run-id"] != run_id
