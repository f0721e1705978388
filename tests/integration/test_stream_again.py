"""Coming back to runs: attaching, and sending the same request twice."""

from time import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.conftest import Bearer
from tests.sse_blocks import blocks
from tests.tables import TABLE, client_of

PATH = "/api/agents/echo/runs"


def start(stream: TestClient, bearer: Bearer, message: str = "one two three") -> tuple[str, str]:
    answer = stream.post(f"{PATH}/stream", json={"message": message}, headers=bearer())
    assert answer.status_code == 200
    return answer.headers["x-run-id"], answer.text


def attach(stream: TestClient, run_id: str, headers: dict[str, str], **query: Any) -> Any:
    return stream.get(f"{PATH}/{run_id}/stream", headers=headers, params=query)


def test_a_replay_is_the_stream_byte_for_byte(stream: TestClient, bearer: Bearer) -> None:
    run_id, text = start(stream, bearer, "naïve 🧑‍🚀 \r\n \u2028 end")
    answer = attach(stream, run_id, bearer())
    assert answer.text == text
    assert answer.headers["x-run-id"] == run_id
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_a_replay_goes_on_after_the_last_event_id(stream: TestClient, bearer: Bearer) -> None:
    run_id, text = start(stream, bearer)
    _, *rest = text.split("\n\n")[1:]
    for answer in (
        attach(stream, run_id, bearer() | {"Last-Event-ID": "2"}),
        attach(stream, run_id, bearer(), lastEventId="2"),
    ):
        assert answer.text == "retry: 1000\n" + "\n\n".join(rest)


def test_after_the_end_there_is_nothing_more(stream: TestClient, bearer: Bearer) -> None:
    run_id, text = start(stream, bearer)
    last = text.count("\nid: ")
    answer = attach(stream, run_id, bearer() | {"Last-Event-ID": str(last)})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_run_whose_first_events_have_expired_is_not_found(
    stream: TestClient, bearer: Bearer
) -> None:
    headers = bearer() | {"Idempotency-Key": "expired"}
    body = {"message": "one two three"}
    answer = stream.post(f"{PATH}/stream", json=body, headers=headers)
    run_id, last = answer.headers["x-run-id"], answer.text.count("\nid: ")
    table = client_of()
    for item in table.scan(TableName=TABLE)["Items"]:
        if run_id in item["pk"]["S"] and item["sk"]["S"].startswith("EV#"):
            # DynamoDB deletes it only within days.
            put_back = item | {"ttl": {"N": str(int(time()) - 1)}}
            table.put_item(TableName=TABLE, Item=put_back)
    for again in (
        attach(stream, run_id, bearer()),
        stream.post(f"{PATH}/stream", json=body, headers=headers),
        stream.post(PATH, json=body, headers=headers),
    ):
        assert again.status_code == 404
        assert again.json()["type"] == "urn:problem-type:resource-not-found"
    assert attach(stream, run_id, bearer(), lastEventId=str(last)).status_code == 204


def test_the_same_key_and_body_is_the_same_run(stream: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Idempotency-Key": "key-1", "Content-Type": "application/json"}
    first = stream.post(f"{PATH}/stream", content=b'{"message":"hi","x":1}', headers=headers)
    again = stream.post(f"{PATH}/stream", content=b'{"x":1.0, "message":"hi"}', headers=headers)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    assert again.text == first.text


def test_a_replay_is_answered_in_the_form_asked_for(stream: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Idempotency-Key": "key-2"}
    streamed = stream.post(f"{PATH}/stream", json={"message": "hi"}, headers=headers)
    once = stream.post(PATH, json={"message": "hi"}, headers=headers)
    assert once.headers["idempotent-replayed"] == "true"
    assert once.json()["runId"] == streamed.headers["x-run-id"]
    assert once.json()["content"] == "hi"


def test_the_same_key_for_anything_else_is_a_conflict(stream: TestClient, bearer: Bearer) -> None:
    headers = bearer() | {"Idempotency-Key": "key-3"}
    assert stream.post(PATH, json={"message": "hi"}, headers=headers).status_code == 200
    other_body = stream.post(PATH, json={"message": "ho"}, headers=headers)
    other_agent = stream.post("/api/agents/analyst/runs", json={"message": "hi"}, headers=headers)
    for answer in (other_body, other_agent):
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:problem-type:conflict"


def post_again(
    stream: TestClient, bearer: Bearer, cursor: object, message: str, **headers: str
) -> Any:
    """Send a request as a reader does that has lost its stream after an event."""
    sent = bearer() | {"Last-Event-ID": str(cursor)} | headers
    return stream.post(f"{PATH}/stream", json={"message": message}, headers=sent)


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "key-5"}])
def test_a_reader_that_posts_again_goes_on_with_its_run(
    stream: TestClient, bearer: Bearer, key: dict[str, str]
) -> None:
    body = {"message": f"sent again {len(key)}"}
    first = stream.post(f"{PATH}/stream", json=body, headers=bearer() | key)
    again = post_again(stream, bearer, 2, body["message"], **key)
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    assert again.text == "retry: 1000\n" + first.text.split("\n\n", 2)[2]
    assert [block["id"] for block in blocks(again.content)] == ["3", "4", "5", "6"]


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "key-6"}])
def test_a_reader_that_has_read_everything_is_told_to_stop(
    stream: TestClient, bearer: Bearer, key: dict[str, str]
) -> None:
    body = {"message": f"read whole {len(key)}"}
    first = stream.post(f"{PATH}/stream", json=body, headers=bearer() | key)
    last = first.text.count("\nid: ")
    origin = {"Origin": "https://app.example"}
    answer = post_again(stream, bearer, last, body["message"], **key, **origin)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["x-run-id"] == first.headers["x-run-id"]
    assert answer.headers["x-session-id"] == first.headers["x-session-id"]
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
    assert answer.headers["cache-control"] == "no-store"
    assert "content-type" not in answer.headers


def test_a_cursor_that_no_run_has_had_begins_one(stream: TestClient, bearer: Bearer) -> None:
    run_id, text = start(stream, bearer, "never so long")
    answer = post_again(stream, bearer, text.count("\nid: ") + 1, "never so long")
    assert answer.headers["x-run-id"] != run_id
    assert "idempotent-replayed" not in answer.headers
    assert answer.text.startswith("retry: 1000\nid: 1\n")


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "1 2", "0x1", "9" * 30])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "key-7"}])
def test_a_reader_with_a_bad_cursor_is_refused(
    stream: TestClient, bearer: Bearer, cursor: str, key: dict[str, str]
) -> None:
    answer = post_again(stream, bearer, cursor, "bad cursor", **key)
    assert answer.status_code == 400
    assert answer.json()["invalidParams"][0]["name"] == "Last-Event-ID"


@pytest.mark.parametrize("cursor", ["1", "x"])
def test_a_run_that_is_answered_once_has_no_cursor(
    stream: TestClient, bearer: Bearer, cursor: str
) -> None:
    headers = bearer() | {"Last-Event-ID": cursor}
    first, second = (
        stream.post(PATH, json={"message": "once"}, headers=headers).json()["runId"]
        for _ in range(2)
    )
    assert first != second


def test_an_empty_cursor_is_none(stream: TestClient, bearer: Bearer) -> None:
    run_id, _ = start(stream, bearer, "empty")
    answer = post_again(stream, bearer, "", "empty")
    assert answer.headers["x-run-id"] != run_id
