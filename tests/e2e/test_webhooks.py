"""Webhooks of the local stack: from a run's end through stream and queue to a receiver."""

import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from agentrun_local.machine.queues_and_buckets import local_client
from agentrun_local.machine.webhook_secret import webhook_secret
from tests.e2e.conftest import WAIT_S, LocalStack, wait_until
from tests.e2e.processes import descends_from
from tests.http_server import answering, send, served

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/agentrun-WebhookQueue"
HIDDEN_S = 180
"""The template's `VisibilityTimeout`."""
RUNS = "/api/agents/echo/runs"
Post = tuple[dict[str, str], bytes]


class Receiver:
    """A receiver on a real socket; its first answers are as told."""

    def __init__(self, *statuses: int) -> None:
        self.posts: queue.Queue[Post] = queue.Queue()
        self._statuses = list(statuses)

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.posts.put(({name.lower(): value for name, value in handler.headers.items()}, body))
        send(handler, self._statuses.pop(0) if self._statuses else 204)

    @contextmanager
    def listening(self) -> Iterator[str]:
        with served(answering(self)) as base_url:
            yield f"{base_url}/hook"

    def next(self, stack: LocalStack, *, within_s: float = WAIT_S) -> tuple[str, dict[str, Any]]:
        """Return the id of the next event, and the event, verified by a package not ours."""
        headers, body = self.posts.get(timeout=within_s)
        secret = webhook_secret(stack.folder / ".agentrun")
        event: dict[str, Any] = standardwebhooks.Webhook(secret).verify(body, headers)
        return headers["webhook-id"], event


def asked(stack: LocalStack, url: str, path: str = RUNS, **body: Any) -> dict[str, Any]:
    with stack.client(user=f"webhook-{os.urandom(4).hex()}") as client:
        answer = client.post(path, json={"message": "hello", "webhook": {"url": url}, **body})
    assert answer.status_code in {200, 202}, answer.text
    said: dict[str, Any] = answer.json()
    return said


@pytest.mark.parametrize("path", [RUNS, f"{RUNS}/background"])
def test_the_end_of_a_run_is_told(local_stack: LocalStack, path: str) -> None:
    receiver = Receiver()
    with receiver.listening() as url:
        run_id = asked(local_stack, url, path)["runId"]
        _, event = receiver.next(local_stack)
    assert event["type"] == "run.completed"
    assert (event["data"]["id"], event["data"]["output"]) == (run_id, "hello")


def test_a_pause_is_told_and_then_the_end(local_stack: LocalStack) -> None:
    receiver = Receiver()
    orders = "/api/agents/finance_agent/runs"
    with receiver.listening() as url, local_stack.client(user="webhook-orders") as client:
        body = {"message": "Buy 1 share of AMZN", "webhook": {"url": url}}
        run_id = client.post(orders, json=body).json()["runId"]
        _, paused = receiver.next(local_stack)
        client.post(f"{orders}/{run_id}/continue", json={"action": "REJECT"})
        _, ended = receiver.next(local_stack)
    assert [event["type"] for event in (paused, ended)] == ["run.paused", "run.completed"]
    assert paused["data"]["requiredAction"]["toolName"] == "place_order"


def test_a_receiver_that_fails_is_told_again_after_five_seconds(local_stack: LocalStack) -> None:
    receiver = Receiver(503)
    with receiver.listening() as url:
        asked(local_stack, url)
        first, _ = receiver.next(local_stack)
        second, _ = receiver.next(local_stack)
    assert first == second


def test_a_receiver_that_is_gone_can_be_told_again(local_stack: LocalStack) -> None:
    """The dead letter is sent back by hand, as `agentrun redrive` does."""
    receiver = Receiver(410)
    letters = QUEUE.replace("WebhookQueue", "WebhookDeadLetters")
    sqs = local_client("sqs", local_stack.queues)
    with receiver.listening() as url:
        asked(local_stack, url)
        first, _ = receiver.next(local_stack)
        found: list[dict[str, Any]] = []

        def received() -> bool:
            found.extend(sqs.receive_message(QueueUrl=letters).get("Messages", []))
            return bool(found)

        wait_until(received, "a dead letter")
        sqs.send_message(QueueUrl=QUEUE, MessageBody=found[0]["Body"])
        sqs.delete_message(QueueUrl=letters, ReceiptHandle=found[0]["ReceiptHandle"])
        second, _ = receiver.next(local_stack)
    assert first == second
    sqs.close()


def test_an_inner_address_is_refused_with_the_request(local_stack: LocalStack) -> None:
    with local_stack.client() as client:
        body = {"message": "hello", "webhook": {"url": "http://169.254.169.254/"}}
        answer = client.post(RUNS, json=body)
    assert answer.status_code == 400
    assert answer.json()["invalidParams"][0]["name"] == "webhook.url"


@pytest.mark.timeout(300)
def test_runs_end_while_senders_are_killed_and_each_is_told(local_stack: LocalStack) -> None:
    """Between the end and the queue, or while it is read: the stream hands it over again."""
    receiver = Receiver()
    over = threading.Event()

    def kill_senders() -> None:
        while not over.wait(0.3):
            for pid in webhook_processes_of(local_stack):
                kill(pid)

    killing = threading.Thread(target=kill_senders)
    with receiver.listening() as url:
        killing.start()
        try:
            runs = {asked(local_stack, url)["runId"] for _ in range(5)}
        finally:
            over.set()
            killing.join()
        told: set[str] = set()
        while not runs <= told:
            # A message that a dead sender had received is hidden for three minutes.
            _, event = receiver.next(local_stack, within_s=HIDDEN_S + WAIT_S)
            told.add(event["data"]["id"])
    assert told == runs


def webhook_processes_of(stack: LocalStack) -> list[int]:
    """Return the processes in which the webhook function runs at this moment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes()
        except OSError:
            continue
        named = b"AWS_LAMBDA_FUNCTION_NAME=WebhookFunction" in variables
        if named and descends_from(int(folder.name), stack.process.pid):
            found.append(int(folder.name))
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
