"""Faults of DynamoDB, injected under a real client: its own retries meet them first."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FOR_EVER = 10**9
SLOW_S = 0.6
HOLD_S = 5
Matcher = Callable[[str, Mapping[str, Any]], bool]


class Fault(StrEnum):
    """What one attempt to send one request meets."""

    THROTTLED = "throttled"
    SERVER_ERROR = "server error"
    TIMED_OUT = "timed out"
    """Not applied."""
    REPLY_LOST = "reply lost"
    """Applied, but the caller sees a time-out."""
    REFUSED = "refused"
    SLOW = "slow"
    """Answered, 600 ms later."""
    UNPROCESSED = "unprocessed keys"
    """A batch that leaves its last key out."""
    DENIED = "denied"
    """An error that no retry mends."""
    ALONE = "alone"
    """No fault: sent while nothing else is. moto undoes a refused transaction by putting back a
    copy of the table, and so undoes what others have written meanwhile; DynamoDB isolates them."""
    HELD = "held"
    """Answered once `Injection.release` is called."""


_ERRORS = {
    Fault.THROTTLED: (400, "ProvisionedThroughputExceededException"),
    Fault.SERVER_ERROR: (500, "InternalServerError"),
    Fault.DENIED: (400, "AccessDeniedException"),
}


@dataclass
class Injection:
    """One fault on its way; `hits` counts the attempts that have met it."""

    fault: Fault
    operation: str
    left: int
    hits: int = 0
    applied: int = 0
    _released: threading.Event = field(default_factory=threading.Event)

    def is_over(self) -> bool:
        """Whether no further attempt will meet it."""
        return self.left == 0

    def release(self) -> None:
        """Let held requests go on, and hold no more."""
        self.left = 0
        self._released.set()

    def wait_for_release(self) -> None:
        if not self._released.wait(HOLD_S):
            raise TimeoutError(f"{self.operation} was never released")


class RawBody(BytesIO):
    """A body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class FaultyClient:
    """Injects faults between a client and its DynamoDB; all other requests pass."""

    def __init__(
        self, client: "DynamoDBClient", operations: "Mapping[str, Matcher] | None" = None
    ) -> None:
        """
        Register with a client.

        Args:
            client: The client whose requests meet the faults.
            operations: How to tell its operations apart, if not by `OPERATIONS`.
        """
        self._operations = operations or OPERATIONS
        self._http = client._endpoint.http_session  # type: ignore[attr-defined] # botocore's own
        self._lock, self._alone = threading.Lock(), threading.Lock()
        self._injections: list[Injection] = []
        events: Any = client.meta.events
        events.register_first("before-send.dynamodb", self._before_send)

    @contextmanager
    def injected(self, fault: Fault, operation: str, *, times: int = 1) -> Iterator[Injection]:
        """
        Make the next attempts at an operation meet a fault.

        Args:
            fault: The fault.
            operation: One of the client's operations, or "any".
            times: How many attempts; botocore makes three for one call.
        """
        injection = Injection(fault, operation, times)
        self._injections.append(injection)
        try:
            yield injection
        finally:
            injection.release()
            self._injections.remove(injection)

    def _before_send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        target = request.headers["X-Amz-Target"]
        name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        injection = self._next(name, _params(request))
        return self._meet(injection, request) if injection else None

    def _next(self, name: str, params: Mapping[str, Any]) -> Injection | None:
        with self._lock:
            for injection in self._injections:
                wanted = injection.operation
                matches = wanted == "any" or self._operations[wanted](name, params)
                if injection.left > 0 and matches:
                    injection.left -= 1
                    injection.hits += 1
                    return injection
        return None

    def _meet(self, injection: Injection, request: AWSPreparedRequest) -> AWSResponse | None:
        url = str(request.url)
        match injection.fault:
            case Fault.THROTTLED | Fault.SERVER_ERROR | Fault.DENIED:
                return _error(url, *_ERRORS[injection.fault])
            case Fault.TIMED_OUT:
                raise ReadTimeoutError(endpoint_url=url)
            case Fault.REPLY_LOST:
                injection.applied += self._http.send(request).status_code == 200
                raise ReadTimeoutError(endpoint_url=url)
            case Fault.REFUSED:
                raise EndpointConnectionError(endpoint_url=url)
            case Fault.SLOW:
                time.sleep(SLOW_S)
            case Fault.ALONE:
                with self._alone:
                    return self._http.send(request)  # type: ignore[no-any-return] # untyped
            case Fault.HELD:
                injection.wait_for_release()
            case Fault.UNPROCESSED:
                return _without_last_key(self._http.send(request), _params(request))
        return None


def _params(request: AWSPreparedRequest) -> Any:
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


def _answer(url: str, status: int, body: Mapping[str, Any]) -> AWSResponse:
    return AWSResponse(url, status, HTTPHeaders(), RawBody(json.dumps(body).encode()))


def _error(url: str, status: int, code: str) -> AWSResponse:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "injected"}
    return _answer(url, status, body)


def _without_last_key(answer: AWSResponse, asked: Mapping[str, Any]) -> AWSResponse:
    body = json.loads(answer.content)
    for table, request in asked["RequestItems"].items():
        left = request["Keys"][-1]
        body["Responses"][table] = [
            item
            for item in body["Responses"].get(table, [])
            if {"pk": item["pk"], "sk": item["sk"]} != left
        ]
        body["UnprocessedKeys"] = {table: {"Keys": [left]}}
    return _answer(answer.url, 200, body)


def _puts(prefix: str) -> Matcher:
    return lambda name, params: name == "PutItem" and params["Item"]["sk"]["S"].startswith(prefix)


def _updates(having: str, lacking: str = "-") -> Matcher:
    def matches(name: str, params: Mapping[str, Any]) -> bool:
        values = params.get("ExpressionAttributeValues", {})
        return name == "UpdateItem" and having in values and lacking not in values

    return matches


def _is_start(name: str, params: Mapping[str, Any]) -> bool:
    return name == "TransactWriteItems" and "Put" in params["TransactItems"][0]


def _moves(operand: str) -> Matcher:
    """Match the transactions that change a run as this operand says, and its session's lock."""

    def matches(name: str, params: Mapping[str, Any]) -> bool:
        if name != "TransactWriteItems":
            return False
        header = params["TransactItems"][0].get("Update", {})
        return operand in header.get("ExpressionAttributeValues", {})

    return matches


def _puts_step(name: str, params: Mapping[str, Any]) -> bool:
    """Match the transactions that keep a step."""
    return name == "TransactWriteItems" and any(
        write.get("Put", {}).get("Item", {}).get("sk", {}).get("S", "").startswith("STEP#")
        for write in params["TransactItems"]
    )


def _is_cancel(name: str, params: Mapping[str, Any]) -> bool:
    values = params.get("ExpressionAttributeValues", {})
    ends = ":completedAt" in values and ":lastEventId" not in values
    return name == "UpdateItem" and (ends or ":cancelRequestedAt" in values)


def _is_beginning(name: str, params: Mapping[str, Any]) -> bool:
    renews = _updates(":leaseUntil", lacking=":status")(name, params)
    values = params.get("ExpressionAttributeValues", {})
    return renews and ":lastEventId" in values and ":handed" not in values


def _is_finish(name: str, params: Mapping[str, Any]) -> bool:
    ends = _updates(":lastEventId", lacking=":lease")(name, params)
    values = params.get("ExpressionAttributeValues", {})
    return ends and ":status" in values and not _is_restored_pause(name, params)


def _is_restored_pause(name: str, params: Mapping[str, Any]) -> bool:
    return name == "UpdateItem" and "leaseUntil = pausedUntil" in params["UpdateExpression"]


OPERATIONS: Mapping[str, Matcher] = {
    "start": _is_start,
    "begin queued": _moves(":queued"),
    "resume": _moves(":paused"),
    "step": _puts_step,
    "take over": _moves(":seenLast"),
    "hand over": _updates(":handed"),
    "ask": _updates(":asked"),
    "release": lambda name, params: (
        name == "UpdateItem" and params["UpdateExpression"].startswith("REMOVE activeRun")
    ),
    "leave queue": lambda name, params: (
        name == "UpdateItem" and params["UpdateExpression"].startswith("REMOVE #queue")
    ),
    "segment": _puts("EV#"),
    "heartbeat": _updates(":leaseUntil", lacking=":lastEventId"),
    "begin continuation": _is_beginning,
    "output": _puts("OUT#"),
    "messages": _puts("MSG#"),
    "checkpoint": _puts("CKPT#"),
    "finish": _is_finish,
    "restore pause": _is_restored_pause,
    "read state": lambda name, _: name == "GetItem",
    "read batch": lambda name, _: name == "BatchGetItem",
    "read events": lambda name, params: name == "Query" and "ProjectionExpression" not in params,
    "find last event": lambda name, params: name == "Query" and "ProjectionExpression" in params,
    "repair": _updates(":lease", lacking=":asked"),
    "cancel": _is_cancel,
}
"""What the project asks DynamoDB for, by what its requests look like."""
