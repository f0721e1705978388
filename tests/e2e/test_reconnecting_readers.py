"""Readers that send their POST again, after cuts and after every end, start one run each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import LocalStack, wait_until
from tests.e2e.processes import kill_stream_processes
from tests.e2e.sse import Frame, frames_of
from tests.tables import client_of

POSTS = 10
DOORS = ("rest_api", "function_url")


class Reader:
    """An EventSource that POSTs: keeps the last id, and sends the same request for ever."""

    def __init__(self, stack: LocalStack, door: str, *, has_key: bool) -> None:
        self.stack = stack
        self.user = f"reader-{uuid4()}"
        self.door = door
        self._headers = {"Idempotency-Key": str(uuid4())} if has_key else {}
        self.run_path = ""
        self.seen: list[Frame] = []
        self.statuses: list[int] = []

    def post(self, agent: str, message: str, *, times: int = 1, frames: int | None = None) -> None:
        """Send the request so many times, and read so many frames at most of each answer."""
        with self.stack.client(self.door, user=self.user) as client:
            for _ in range(times):
                self._post(client, f"/api/agents/{agent}/runs", message, frames)

    def _post(self, client: httpx.Client, runs: str, message: str, frames: int | None) -> None:
        cursor = {"Last-Event-ID": str(self.seen[-1].id)} if self.seen else {}
        with client.stream(
            "POST", f"{runs}/stream", json={"message": message}, headers=self._headers | cursor
        ) as answer:
            self.statuses.append(answer.status_code)
            assert answer.status_code in {200, 204}, answer.read()
            assert ("idempotent-replayed" in answer.headers) == bool(self.seen)
            run_path = f"{runs}/{answer.headers['x-run-id']}"
            assert self.run_path in {"", run_path}
            self.run_path = run_path
            self.seen += islice(frames_of(answer.iter_raw()), frames)

    def cancel(self) -> None:
        """Cancel the run, and wait until it is."""
        with self.stack.client(user=self.user) as client:
            assert client.delete(self.run_path).status_code == 204
            status = f"{self.run_path}/status"
            wait_until(lambda: client.get(status).json()["status"] == "CANCELLED", "it is over")

    def approve(self) -> None:
        """Continue the paused run to its end."""
        with self.stack.client(self.door, user=self.user) as client:
            answer = client.post(f"{self.run_path}/continue", json={"action": "APPROVE"})
            assert answer.json()["status"] == "COMPLETED"

    def assert_one_run(self) -> None:
        """Count the user's runs in the table, and what was read of the one."""
        assert len(self.statuses) == POSTS
        assert runs_of(self.stack, self.user) == [self.run_path.rpartition("/")[2]]
        assert [frame.id for frame in self.seen] == list(range(1, len(self.seen) + 1))


def runs_of(stack: LocalStack, user: str) -> list[str]:
    """Read the ids of a user's runs from the table itself."""
    table = client_of(stack.dynamodb)
    (name,) = table.list_tables()["TableNames"]
    pages = table.get_paginator("scan").paginate(
        TableName=name,
        FilterExpression="sk = :header AND userId = :user",
        ExpressionAttributeValues={":header": {"S": "RUN"}, ":user": {"S": user}},
        ProjectionExpression="pk",
    )
    found = [item["pk"]["S"].rpartition("#")[2] for page in pages for item in page["Items"]]
    table.close()
    return found


def cut(reader: Reader) -> None:
    reader.post("echo", "/emit 60 every 15", times=POSTS - 1, frames=4)
    reader.post("echo", "/emit 60 every 15")
    assert reader.seen[-1].event == "STOP"
    assert len(reader.seen) == 63


def stopped(reader: Reader) -> None:
    reader.post("echo", "the end", times=POSTS)
    assert reader.seen[-1].event == "STOP"
    assert reader.statuses == [200, *[204] * (POSTS - 1)]


def failed(reader: Reader) -> None:
    reader.post("echo", "/fail", times=POSTS)
    assert reader.seen[-1].event == "ERROR"
    assert reader.statuses == [200, *[204] * (POSTS - 1)]


ORDER = ("finance_agent", "Buy 10 shares of AMZN")


def paused(reader: Reader) -> None:
    reader.post(*ORDER, times=POSTS)
    assert reader.seen[-1].event == "PAUSED"
    assert reader.statuses == [200, *[204] * (POSTS - 1)]


def paused_then_continued(reader: Reader) -> None:
    reader.post(*ORDER, times=3)
    reader.approve()
    reader.post(*ORDER, times=POSTS - 3)
    events = [frame.event for frame in reader.seen]
    assert [name for name in events if name in {"START", "PAUSED", "STOP"}] == [
        "START",
        "PAUSED",
        "START",
        "STOP",
    ]
    assert reader.statuses == [200, 204, 204, 200, *[204] * (POSTS - 4)]


def paused_then_cancelled(reader: Reader) -> None:
    reader.post(*ORDER, times=3)
    reader.cancel()
    reader.post(*ORDER, times=POSTS - 3)
    assert [frame.event for frame in reader.seen[-2:]] == ["PAUSED", "CANCELLED"]
    assert reader.statuses == [200, 204, 204, 200, *[204] * (POSTS - 4)]


def cancelled(reader: Reader) -> None:
    message = "/emit 200 every 100"
    reader.post("echo", message, frames=2)
    reader.cancel()
    reader.post("echo", message, times=POSTS - 1)
    assert reader.seen[-1].event == "CANCELLED"
    assert reader.statuses == [200, 200, *[204] * (POSTS - 2)]


@pytest.mark.parametrize(
    "life",
    [cut, stopped, failed, paused, paused_then_continued, paused_then_cancelled, cancelled],
    ids=lambda life: life.__name__,
)
def test_ten_posts_are_one_run_at_both_doors_with_a_key_and_without(
    local_stack: LocalStack, life: Callable[[Reader], None]
) -> None:
    readers = [
        Reader(local_stack, door, has_key=has_key)
        for door, has_key in product(DOORS, (False, True))
    ]
    with ThreadPoolExecutor(len(readers)) as threads:
        list(threads.map(life, readers))
    for reader in readers:
        reader.assert_one_run()


def test_ten_posts_are_one_run_whose_process_dies(local_stack: LocalStack) -> None:
    reader, message = Reader(local_stack, "function_url", has_key=False), "/emit 200 every 100"
    reader.post("echo", message, frames=12)
    kill_stream_processes(local_stack)
    reader.post("echo", message, times=POSTS - 1)
    # Another one has gone on with it.
    assert reader.seen[-1].event == "STOP"
    assert "STEP_RESET" in [frame.event for frame in reader.seen]
    assert reader.statuses == [200, 200, *[204] * (POSTS - 2)]
    assert runs_of(local_stack, reader.user) == [reader.run_path.rpartition("/")[2]]
