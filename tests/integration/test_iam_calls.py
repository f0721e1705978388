"""The functions call DynamoDB only as they are allowed to, and need every permission."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.sqs.client import sqs_client
from agentrun.domain.runs import AgentRun
from tests.integration.conftest import AppModule, Bearer
from tests.integration.gateway import Gateway, alive, talker
from tests.queues import run_record
from tests.runs import a_request, a_run
from tests.tables import TABLE, client_of
from tests.unit import test_iam as iam

Call = tuple[str, str]
BEYOND_ANY_HEADER = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(200))
RUNS, ORDERS = "/api/agents/echo/runs", "/api/agents/finance_agent/runs"
# The words of DynamoDB's expressions, which name no attribute.
SYNTAX = {"SET", "REMOVE", "AND", "OR", "NOT", "IN"} | {
    *("attribute_exists", "attribute_not_exists", "if_not_exists", "size"),
}
IN_TRANSACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
"""By which permission each part is judged ("Using IAM with DynamoDB transactions")."""
LOOKED_AT: dict[str, tuple[str, ...]] = {
    "StreamFunction": ("dynamodb:",),
    "StatusFunction": ("dynamodb:", "sqs:"),
    "WorkerFunction": ("dynamodb:", "sqs:C", "sqs:S"),
}
"""The actions that are called here; the mapping receives and deletes with the worker's rights."""


@dataclass
class Record:
    """What a function has asked of DynamoDB."""

    calls: set[Call] = field(default_factory=set)
    attributes: dict[str, set[str]] = field(default_factory=dict)
    of_tickets: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)

    def of(self, module: ModuleType) -> "Record":
        """Take note of each call of a function's own client from now on."""
        module.client.meta.events.register("provide-client-params.dynamodb", self._note)
        return self

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Take note of the calls of the queue's client, which all functions share here."""
        events = sqs_client().meta.events
        events.register("provide-client-params.sqs", self._note_message)
        try:
            yield
        finally:
            events.unregister("provide-client-params.sqs", self._note_message)

    def _note_message(self, model: Any, **_: Any) -> None:
        self.calls.add((f"sqs:{model.name}", iam.QUEUE))

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "TransactWriteItems":
            for kind, part in (each for item in params["TransactItems"] for each in item.items()):
                self._note_one(IN_TRANSACTIONS[kind], iam.TABLE, part)
            return
        resource = iam.INDEX if "IndexName" in params else iam.TABLE
        self._note_one(f"dynamodb:{model.name}", resource, params)

    def _note_one(self, action: str, resource: str, params: dict[str, Any]) -> None:
        self.calls.add((action, resource))
        if str(params.get("Item", {}).get("pk", {}).get("S", "")).startswith(iam.TICKETS):
            self.of_tickets |= self._named(params)
        else:
            self.attributes.setdefault(action, set()).update(self._named(params))
        self.returned.add(params.get("ReturnValues", "NONE"))

    def _named(self, params: dict[str, Any]) -> set[str]:
        """Return the attributes that a write names: keys, items, what is set, and conditions."""
        writes = params.get("RequestItems", {}).get(TABLE, [])
        parts = writes if isinstance(writes, list) else []
        requests = [request for part in parts for request in part.values()]
        named = [request.get("Key") or request["Item"] for request in requests]
        aliases = params.get("ExpressionAttributeNames", {})
        said = f"{params.get('ConditionExpression', '')} {params.get('UpdateExpression', '')}"
        words = {aliases.get(word, word) for word in re.findall(r"[:#]?[A-Za-z]\w*", said)}
        names = {word for word in words if not word.startswith(":")} - SYNTAX
        return names.union(params.get("Key", {}), params.get("Item", {}), *named)


def started(answer: Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-run-id"]


def everything_that_streams(client: TestClient, bearer: dict[str, str], session: str) -> str:
    """Start, follow, continue and take over from runs; return the one with long texts."""
    once = bearer | {"Idempotency-Key": str(uuid4())}
    long = {"message": BEYOND_ANY_HEADER, "sessionId": session}
    run_id = started(client.post(f"{RUNS}/stream", json=long, headers=once))
    again = {"message": "and again", "sessionId": session}
    started(client.post(f"{RUNS}/stream", json=again, headers=bearer))
    assert client.get(f"{RUNS}/{run_id}/stream", headers=bearer).status_code == 200
    lost = bearer | {"Last-Event-ID": "1"}
    for body in (again, {"message": "never sent before"}):
        started(client.post(f"{RUNS}/stream", json=body, headers=lost))
    order = {"message": "Buy 1 share of AMZN"}
    paused = started(client.post(f"{ORDERS}/stream", json=order, headers=bearer))
    rejected = client.post(f"{ORDERS}/{paused}/continue", json={"action": "REJECT"}, headers=bearer)
    assert rejected.status_code == 200
    # Its executor is gone and holds the session; the next run takes it over.
    dead = a_run("dead", session_id=str(uuid4()))
    DynamoRunStore(Table(client_of(), TABLE)).start(dead, a_request())
    after = {"message": "next", "sessionId": dead.session_id}
    started(client.post(f"{RUNS}/stream", json=after, headers=bearer))
    return run_id


class Context:
    """Lambda's context of an invocation that has a minute left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def everything_without_a_reader(worker: ModuleType) -> None:
    """Go on with lost runs of one session, one after the other, and look after one that lives."""
    elsewhere = DynamoRunStore(Table(client_of(), TABLE))
    session = str(uuid4())
    for run_id in ("gone", "gone-too"):
        lost = a_run(run_id, session_id=session, max_attempts=3)
        elsewhere.start(lost, a_request())
        handle(worker, lost)
    # Its executor is gone and holds the session; who waits behind it takes that over.
    dead = a_run("dead-too", session_id=str(uuid4()))
    after = a_run("after", session_id=dead.session_id, max_attempts=3).in_background()
    elsewhere.start(dead, a_request())
    seen = worker.ports.conversations.lock(dead.org_id, dead.session_id)
    elsewhere.start(after, a_request(), seen=seen)
    handle(worker, after)
    living = alive("living", session_id=str(uuid4())).model_copy(update={"is_background": True})
    elsewhere.start(living, a_request())
    handle(worker, living)


def handle(worker: ModuleType, run: AgentRun) -> None:
    record = run_record({"tenant": run.org_id, "runId": run.id})
    answer = worker.handler({"Records": [record]}, Context())
    assert answer == {"batchItemFailures": []}


def everything_else(ana: Gateway, run_id: str, session: str) -> None:
    """List, read, repair, cancel and delete."""
    elsewhere = DynamoRunStore(Table(client_of(), TABLE))
    lapsed, running = a_run("lapsed"), alive("running", session_id=str(uuid4()))
    lost = a_run("lost", session_id=str(uuid4()), max_attempts=3)
    waiting = alive("waiting", session_id=str(uuid4()), status="QUEUED")
    alone = alive("alone", session_id=str(uuid4()), status="QUEUED", is_background=True)
    for run in (lapsed, lost, running, waiting, alone):
        elsewhere.start(run, a_request())
    requests = {
        f"{RUNS}/{run_id}": "GET",
        f"{RUNS}/status?runIds={run_id}": "GET",
        f"{RUNS}/{lapsed.id}": "GET",
        f"{RUNS}/{lost.id}": "GET",
        "/api/v1/runs": "GET",
        f"/api/v1/runs/{run_id}": "GET",
        "/api/v1/approvals/pending": "GET",
        "/api/sessions": "GET",
        f"/api/sessions/{session}": "GET",
        f"/api/sessions/{session}/runs": "GET",
        f"/api/sessions/{session}/messages": "GET",
        f"{RUNS}/{running.id}": "DELETE",
        f"{RUNS}/{waiting.id}": "DELETE",
        f"{RUNS}/{alone.id}": "DELETE",
        f"/api/v1/runs/{waiting.id}/cancel": "POST",
        f"{RUNS}/{run_id}/stream-ticket": "POST",
    }
    for path, method in requests.items():
        bare, _, query = path.partition("?")
        asked = {"runIds": [query.removeprefix("runIds=")]} if query else {}
        status, body = ana.send(method, bare, **asked)
        assert status in {200, 201, 204}, (path, body)
    assert ana.send("DELETE", f"/api/sessions/{session}")[0] == 204


@pytest.fixture(scope="module")
def records(app_module: AppModule, bearer: Bearer) -> dict[str, Record]:
    stream, status, worker = (app_module(name) for name in ("stream", "status", "worker"))
    found = {
        "StreamFunction": Record().of(stream),
        "StatusFunction": Record().of(status),
        "WorkerFunction": Record().of(worker),
    }
    session = str(uuid4())
    run_id = everything_that_streams(TestClient(stream.app), bearer(), session)
    with found["WorkerFunction"].asking(), closing(worker.handler):
        everything_without_a_reader(worker)
    with found["StatusFunction"].asking():
        everything_else(talker(status.handler, "ana"), run_id, session)
    return found


def justified(function: str) -> set[Call]:
    return {
        (grant.action, grant.resource)
        for grant in iam.JUSTIFIED
        if grant.function == function and grant.action.startswith(LOOKED_AT[function])
    }


@pytest.mark.parametrize("function", LOOKED_AT)
def test_a_function_calls_what_it_is_granted_and_is_granted_what_it_calls(
    records: dict[str, Record], function: str
) -> None:
    assert records[function].calls == justified(function)


def test_the_status_functions_writes_name_what_they_may(records: dict[str, Record]) -> None:
    record = records["StatusFunction"]
    assert record.attributes["dynamodb:UpdateItem"] <= iam.LIFE_CYCLE
    written = record.attributes["dynamodb:UpdateItem"]
    assert {"status", "cancelRequestedAt", "queue", "activeRun", "deleting"} <= written
    assert record.attributes["dynamodb:BatchWriteItem"] < iam.ERASED_BY
    assert record.attributes["dynamodb:PutItem"] == iam.ERASED_BY
    assert record.attributes["dynamodb:DeleteItem"] == iam.DELETED_BY
    assert record.of_tickets == iam.TICKET
    assert record.returned == {"NONE", "UPDATED_NEW"}
