"""The webhook function on a streaming table and a queue, with receivers on real sockets."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import standardwebhooks
from botocore.exceptions import EndpointConnectionError
from openai import OpenAI

from agentrun.adapters.webhooks import sender
from agentrun.domain.runs import RunStatus
from agentrun.domain.webhooks import MOST_TRIES, PAUSES
from tests.http_server import answering, send, served
from tests.integration.webhook_rig import OLD_SECRET, SECRET, WebhookRig, webhook_rig
from tests.runs import AT, completed, failed, paused

Answer = Callable[[BaseHTTPRequestHandler], object]
Post = tuple[dict[str, str], bytes]
TWO_DAYS = timedelta(days=2)


@pytest.fixture
def rig() -> Iterator[WebhookRig]:
    with webhook_rig() as rig:
        yield rig


class Receiver:
    """A receiver that answers as told, then 204 for ever; `posts` are all that it got."""

    def __init__(self, *answers: Answer) -> None:
        self.posts: list[Post] = []
        self._answers = list(answers)

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.posts.append((headers, body))
        answer = self._answers.pop(0) if self._answers else with_status(204)
        answer(handler)

    @contextmanager
    def listening(self) -> Iterator[str]:
        with served(answering(self)) as base_url:
            yield f"{base_url}/hook?of=ana"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.posts]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.posts]


def with_status(status: int, location: str = "") -> Answer:
    return lambda handler: send(handler, status, Location=location)


def dies_in_mid_answer(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def dies_in_mid_chunk(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def dies_in_mid_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def dies_before_answering(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def babbles(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")


def verify(posts: list[Post], secret: str) -> None:
    """Raise unless packages that are not ours take each post for genuine."""
    client = OpenAI(api_key="unused", webhook_secret=secret)
    for headers, body in posts:
        client.webhooks.verify_signature(body, headers)
        standardwebhooks.Webhook(secret).verify(body, headers)


def tell(rig: WebhookRig) -> None:
    """Queue what the table has told, and deliver it."""
    assert rig.announce(rig.streamed()) == []
    rig.deliver_until_quiet()


def test_a_receiver_is_told_of_the_end_once_and_can_verify_it(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        rig.end(rig.start(url), completed("forty-two"))
        tell(rig)
    ((headers, body),) = receiver.posts
    for secret in (SECRET, OLD_SECRET):
        verify(receiver.posts, secret)
    assert headers["content-type"] == "application/json"
    said = json.loads(body)
    assert said["type"] == "run.completed"
    run = said["data"]
    assert (run["id"], run["status"], run["output"]) == ("run-1", "COMPLETED", "forty-two")
    assert (run["userId"], run["orgId"], run["input"]) == ("ana", "acme", "hello")
    assert (rig.pauses, rig.dead_letters()) == ([], [])


def test_a_pause_and_the_end_after_it_are_two_events(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        run = rig.start(url)
        rig.end(run, paused())
        tell(rig)
        rig.store.settle(rig.store.get(run.key), at=AT + timedelta(days=4))
        tell(rig)
    assert [event["type"] for event in receiver.events] == ["run.paused", "run.cancelled"]
    assert receiver.events[0]["data"]["requiredAction"]["approvals"][0]["id"] == "c1"
    assert "requiredAction" not in receiver.events[1]["data"]
    assert receiver.ids == ["run-1_2", "run-1_3"]


def test_a_run_that_a_reader_ends_is_told_of_too(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        run = rig.start(url)
        rig.store.settle(rig.store.get(run.key), at=AT + TWO_DAYS)
        tell(rig)
    (event,) = receiver.events
    assert (event["type"], event["data"]["status"]) == ("run.failed", RunStatus.FAILED)


def test_only_the_events_are_told_that_are_wanted(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        for number, outcome in enumerate((completed(), failed())):
            rig.end(rig.start(url, f"run-{number}", events=("run.failed",)), outcome)
        tell(rig)
    assert [event["type"] for event in receiver.events] == ["run.failed"]


def test_what_writes_no_new_status_tells_nobody(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        run = rig.start(url)
        assert rig.streamed() == []
        rig.end(run, paused())
        records = rig.streamed()
        # The same header, written again with another attribute.
        image = records[0]["dynamodb"]["NewImage"]
        again = {
            **records[0]["dynamodb"],
            "OldImage": image,
            "NewImage": {**image, "x": {"S": "y"}},
        }
        assert rig.announce([*records, {**records[0], "dynamodb": again}]) == []
        rig.deliver_until_quiet()
    assert receiver.ids == ["run-1_2"]


def test_texts_beside_the_header_are_cut_as_in_a_batch(rig: WebhookRig) -> None:
    # Text that does not pack lies in chunks.
    long = "".join(hashlib.sha256(bytes([n // 256, n % 256])).hexdigest() for n in range(9_000))
    receiver = Receiver()
    with receiver.listening() as url:
        rig.end(rig.start(url), completed(long))
        (record,) = rig.streamed()
        assert "output" not in record["dynamodb"]["NewImage"]
        rig.announce([record])
        rig.deliver_until_quiet()
    (event,) = receiver.events
    assert event["data"]["output"] == long[:4096]
    assert event["data"]["outputTruncated"] is True


@pytest.mark.parametrize(
    "answer",
    [
        with_status(500),
        with_status(404),
        with_status(302, location="http://127.0.0.1:9/"),
        with_status(307, location="/elsewhere"),
        dies_before_answering,
        dies_in_mid_head,
        dies_in_mid_answer,
        dies_in_mid_chunk,
        babbles,
    ],
)
def test_a_receiver_that_fails_is_told_again_under_the_same_id(
    rig: WebhookRig, answer: Answer
) -> None:
    receiver = Receiver(answer, answer)
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        tell(rig)
    assert receiver.ids == ["run-1_2"] * 3
    assert len({body for _, body in receiver.posts}) == 1
    verify(receiver.posts, SECRET)
    assert rig.pauses == [int(pause.total_seconds()) for pause in PAUSES[:2]]


def test_a_redirect_is_not_followed(rig: WebhookRig) -> None:
    elsewhere = Receiver()
    with elsewhere.listening() as other:
        receiver = Receiver(with_status(308, location=other))
        with receiver.listening() as url:
            rig.end(rig.start(url), completed())
            tell(rig)
    assert len(receiver.posts) == 2
    assert elsewhere.posts == []


@pytest.mark.parametrize("drips", [False, True])
def test_a_try_ends_in_time_whatever_the_receiver_does(drips: bool) -> None:
    over = threading.Event()

    def never_ends(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            if drips:
                handler.wfile.write(b"X-Still: here\r\n")

    with webhook_rig() as rig:
        receiver = Receiver(never_ends)
        rig.function.deliverer._sender._timeout_s = 0.5
        with receiver.listening() as url:
            rig.end(rig.start(url), completed())
            began = time.monotonic()
            tell(rig)
            took_s = time.monotonic() - began
            over.set()
    assert receiver.ids == ["run-1_2"] * 2
    assert took_s < 5
    assert sender.TRY_TIMEOUT_S == 10


def test_an_answer_without_end_is_not_read_to_it(rig: WebhookRig) -> None:
    sent = 0

    def floods(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while sent < 100 * sender.MOST_ANSWER_BYTES:
                sent += handler.wfile.write(b"x" * 65536) or 65536
        except OSError:
            pass

    receiver = Receiver(floods)
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        tell(rig)
    assert receiver.ids == ["run-1_2"]
    assert sent < 100 * sender.MOST_ANSWER_BYTES


def test_after_the_last_try_it_is_a_dead_letter_which_can_be_sent_again(rig: WebhookRig) -> None:
    receiver = Receiver(*[with_status(503)] * MOST_TRIES)
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        tell(rig)
        assert receiver.ids == ["run-1_2"] * MOST_TRIES
        letters = rig.dead_letters()
        assert len(letters) == 1
        rig.send_again(letters)
        rig.deliver_until_quiet()
    assert receiver.ids == ["run-1_2"] * (MOST_TRIES + 1)
    verify(receiver.posts, SECRET)
    assert rig.dead_letters() == []


def test_a_receiver_that_is_gone_is_a_dead_letter_at_once(rig: WebhookRig) -> None:
    receiver = Receiver(with_status(410))
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        tell(rig)
        letters = rig.dead_letters()
        rig.send_again(letters)
        rig.deliver_until_quiet()
    assert (len(letters), receiver.ids) == (1, ["run-1_2"] * 2)


def test_a_process_that_dies_between_the_end_and_the_queue_loses_nothing(rig: WebhookRig) -> None:
    """The mapping hands the same record over until it is told that it was heard."""
    receiver = Receiver()
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        records = rig.streamed()

        def dies(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="sqs")

        events = rig.function.sqs.meta.events
        events.register("before-send.sqs.SendMessage", dies)
        assert rig.announce(records) == [records[0]["dynamodb"]["SequenceNumber"]]
        assert rig.deliver() == 0
        events.unregister("before-send.sqs.SendMessage", dies)
        # Queued, and killed before it could say so: it comes again.
        assert rig.announce(records) == []
        assert rig.announce(records) == []
        rig.deliver_until_quiet()
    assert receiver.ids == ["run-1_2"] * 2
    assert receiver.posts[0][1] == receiver.posts[1][1]


def test_a_process_that_dies_between_the_answer_and_its_deletion_tells_twice(
    rig: WebhookRig,
) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        rig.announce(rig.streamed())
        (record,) = rig.receive()
        for _ in range(2):
            assert rig.function.handler({"Records": [record]}, None) == {"batchItemFailures": []}
    assert receiver.ids == ["run-1_2"] * 2


def test_a_slow_receiver_holds_back_nobody(rig: WebhookRig) -> None:
    """All of a batch are on their way at once."""
    together = threading.Barrier(5, timeout=20)

    def waits_for_the_others(handler: BaseHTTPRequestHandler) -> None:
        together.wait()
        send(handler, 204)

    receiver = Receiver(*[waits_for_the_others] * 5)
    with receiver.listening() as url:
        for number in range(5):
            rig.end(rig.start(url, f"run-{number}"), completed())
        tell(rig)
    assert sorted(receiver.ids) == [f"run-{number}_2" for number in range(5)]


def test_what_cannot_be_read_is_set_aside_and_the_rest_told(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        for number in range(2):
            rig.end(rig.start(url, f"run-{number}"), completed())
        records = rig.streamed()
        broken = json.loads(json.dumps(records[0]))
        broken["dynamodb"]["NewImage"]["webhook"] = {"S": "{}"}
        rig.announce([broken, records[1]])
        rig.deliver_until_quiet()
        assert receiver.ids == ["run-1_2"]
        (letter,) = rig.dead_letters()
        # Once a version is deployed that can read it, it is sent again.
        rig.send_again([letter, letter.replace('{"S": "{}"}', json.dumps(webhook_of(records[0])))])
        rig.deliver_until_quiet()
    assert receiver.ids == ["run-1_2", "run-0_2"]
    assert len(rig.dead_letters()) == 1


def webhook_of(record: dict[str, Any]) -> Any:
    return record["dynamodb"]["NewImage"]["webhook"]


@pytest.mark.parametrize("loopback", ["true", "on", "1"])
def test_on_lambda_no_variable_lets_webhooks_reach_the_machine_itself(loopback: str) -> None:
    receiver = Receiver()
    given = {"AGENTRUN_WEBHOOK_LOOPBACK": loopback, "LAMBDA_TASK_ROOT": "/var/task"}
    with receiver.listening() as url, webhook_rig(**given) as rig:
        rig.end(rig.start(url), completed())
        tell(rig)
        assert len(rig.dead_letters()) == 1
    assert receiver.posts == []


def test_what_is_signed_is_signed_now(rig: WebhookRig) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        rig.end(rig.start(url), completed())
        tell(rig)
    ((headers, _),) = receiver.posts
    age_s = datetime.now(UTC).timestamp() - int(headers["webhook-timestamp"])
    assert -1 <= age_s < 60
