"""Calls the status function as API Gateway does, and runs for it to show."""

import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.endings import Outcome
from agentrun.domain.runs import AgentRun, Lease
from tests.integration.conftest import Handler, event_file
from tests.runs import EXECUTOR, a_request, a_run, completed

LEASE = timedelta(seconds=15)


def alive(run_id: str, lease: timedelta = LEASE, /, **changes: Any) -> AgentRun:
    """Return a run whose executor has just been heard of."""
    now = SystemClock().now()
    fields = {"created_at": now, "updated_at": now, "started_at": now}
    return a_run(run_id, lease=Lease(executor=EXECUTOR, until=now + lease), **fields | changes)


class Gateway:
    """Calls the status function as API Gateway does, for one caller."""

    def __init__(self, handler: Handler, **identity: str) -> None:
        self._handler = handler
        self._identity = {
            "userId": "ana",
            "orgId": "acme",
            "scope": "runs:read",
            "roles": "",
            "exp": str(int(time.time()) + 600),
        } | identity

    def get(self, path: str, **query: list[str]) -> tuple[int, Any]:
        return self.send("GET", path, **query)

    def send(self, method: str, path: str, **query: list[str]) -> tuple[int, Any]:
        event = event_file("get-run.json") | {"httpMethod": method}
        event["path"] = event["requestContext"]["path"] = path
        event["multiValueQueryStringParameters"] = query or None
        event["queryStringParameters"] = {name: values[-1] for name, values in query.items()}
        return self.call(event)

    def call(self, event: dict[str, Any]) -> tuple[int, Any]:
        event["requestContext"]["authorizer"] = self._identity
        answer = self._handler(event, None)
        self.headers = dict(answer["headers"])
        self.size_bytes = len(json.dumps(answer, ensure_ascii=False).encode())
        return answer["statusCode"], json.loads(answer["body"] or "null")


class Talk:
    """One user's conversation, a second between its turns; ended runs lie in the past."""

    def __init__(self, store: DynamoRunStore, user: str, *, later_s: float = 0) -> None:
        self._store = store
        self._user = user
        self._at = SystemClock().now() - timedelta(seconds=3_600 - later_s)
        self.id = str(uuid4())

    def begin(self, run_id: str, message: str = "hello", **changes: Any) -> AgentRun:
        self._at += timedelta(seconds=1)
        fields = {"created_at": self._at, "started_at": self._at, "input": message}
        owned = {"user_id": self._user, "session_id": self.id}
        run = alive(run_id, **fields | owned | changes)
        self._store.start(run, a_request(message))
        return run

    def turn(self, run_id: str, message: str = "hello", outcome: Outcome | None = None) -> AgentRun:
        run = self.begin(run_id, message)
        self._store.finish(run.key, EXECUTOR, outcome or completed(), at=self._at)
        self._store.release(run)
        return run


def talker(handler: Handler, user: str, **identity: str) -> Gateway:
    """Return a caller who may read and write."""
    return Gateway(handler, **{"userId": user, "scope": "runs:read runs:write"} | identity)
