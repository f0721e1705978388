"""Nothing that people say, and nothing that opens a door, is ever logged."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from logging import StreamHandler
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError
from starlette.testclient import TestClient

from agentrun.domain.errors import StoreUnavailableError
from agentrun.telemetry import log_as_json
from agentrun.telemetry import logger as powertools
from lambda_asgi.logs import configure_logging
from tests.contract.test_token_verifier import token
from tests.integration.conftest import AppModule, event_file
from tests.integration.front_doors import FunctionUrl
from tests.integration.gateway import Gateway

RUNS = "/api/agents/analyst/runs"
# What Lambda sets for a function that logs JSON ("Configuring JSON and plain text log formats").
AS_ON_LAMBDA = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
# The tool is called with the first, and the answer has the second.
FACTOR, PRODUCT = "31337313", "62674626"
PRIVATE = {
    "prompt": "my-name-is-zq1",
    "tool argument": FACTOR,
    "answer": PRODUCT,
    "thing echoed": "echo-me-zq2",
    "system prompt": "you-are-zq3",
    "reason of a decision": "because-zq4",
    "idempotency key": "key-zq5",
    "header": "header-zq6",
    "cookie": "cookie-zq7",
    "user agent": "agent-zq8",
    "invalid field": "field-zq9",
    "query": "query-zq10",
    "claim of a refused token": "claim-zq11",
    "key id of a refused token": "kid-zq12",
    "signature": "signature-zq13",
}
FIELDS = {
    *("level", "location", "logger", "message", "timestamp", "service"),
    *("exception", "exception_name"),
    *("runId", "path", "reason", "runs"),
}
"""What a line of the project's own may have; docs/architecture.md says what each is."""


@dataclass
class Functions:
    """The functions' modules, set up to log as on Lambda, and everything that they log."""

    stream: ModuleType
    status: ModuleType
    authorizer: ModuleType
    log: io.StringIO

    @property
    def client(self) -> TestClient:
        return TestClient(self.stream.app, raise_server_exceptions=False)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def functions(app_module: AppModule) -> Iterator[Functions]:
    root, log = logging.getLogger(), io.StringIO()
    level, handlers = root.level, list(root.handlers)
    configure_logging(AS_ON_LAMBDA)
    handlers_of_lambda = (root.handlers[-1], *powertools.handlers)
    streams = [handler for handler in handlers_of_lambda if isinstance(handler, StreamHandler)]
    before = [handler.setStream(log) for handler in streams]
    assert len(streams) == 2
    stream, status, authorizer = map(app_module, ("stream", "status", "authorizer"))
    yield Functions(stream, status, authorizer, log)
    for handler, stdout in zip(streams, before, strict=True):
        handler.setStream(stdout)
    root.handlers[:] = handlers
    root.setLevel(level)


def headers(bearer: str, **more: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {bearer}",
        "X-Custom": PRIVATE["header"],
        "Cookie": f"session={PRIVATE['cookie']}",
        "User-Agent": PRIVATE["user agent"],
        **more,
    }


def talk(client: TestClient, bearer: str, session: str) -> str:
    """Have a conversation in which everything goes wrong; return one of its runs."""

    def say(agent: str, message: str, status: int = 200, **more: Any) -> httpx2.Response:
        path = f"/api/agents/{agent}/runs/stream?q={PRIVATE['query']}"
        answer = client.post(path, json={"message": message, **more}, headers=headers(bearer))
        assert answer.status_code == status, answer.text
        return answer

    once = headers(bearer, **{"Idempotency-Key": PRIVATE["idempotency key"]})
    asked = {"message": f"{PRIVATE['prompt']}. What is {FACTOR} * 2?", "sessionId": session}
    answer = client.post(f"{RUNS}/stream", json=asked, headers=once)
    assert PRODUCT in answer.text.replace("_", "").replace(",", "")
    say("analyst", f"What is {FACTOR} / 0?", sessionId=session)
    say("echo", PRIVATE["thing echoed"])
    say("echo", "/fail")
    say("echo", "hi", 400, options={"systemPrompt": PRIVATE["system prompt"], "temperature": 9})
    say("echo", "hi", 400, media=[{"type": PRIVATE["invalid field"], "data": "%"}])
    url = f"http://127.0.0.1/x?signature={PRIVATE['signature']}"
    say("finance_agent", "hi", 400, media=[{"type": "image/png", "data": url}])
    paused = say("finance_agent", "Buy 1 share of AMZN").headers["x-run-id"]
    decision = {"action": "REJECT", "reason": PRIVATE["reason of a decision"]}
    path = f"/api/agents/finance_agent/runs/{paused}/continue"
    assert client.post(path, json=decision, headers=headers(bearer)).status_code == 200
    return str(answer.headers["x-run-id"])


def be_refused(client: TestClient, authorizer: ModuleType) -> list[str]:
    """Send bad tokens; return them."""
    claim = PRIVATE["claim of a refused token"]
    bad = [
        token(sub=claim, exp=1),
        token(iss=claim),
        token(aud=claim, sub=claim),
        token(kid=PRIVATE["key id of a refused token"]),
        token(sub=claim)[:-8] + "AAAAAAAA",
        f"not-a-token-{claim}",
    ]
    for refused in bad:
        assert client.post(RUNS, json={}, headers=headers(refused)).status_code == 401
        event = event_file("authorizer.json") | {"authorizationToken": f"Bearer {refused}"}
        with pytest.raises(Exception, match="Unauthorized"):
            authorizer.handler(event, None)
    return bad


def come_with_tickets(functions: Functions, gateway: Gateway, run: str) -> list[str]:
    """Open a stream with tickets, in vain and not, and as browsers come again; return them."""
    client = TestClient(FunctionUrl(functions.stream.app), raise_server_exceptions=False)
    tickets = []
    for _ in range(2):
        status, issued = gateway.send("POST", f"{run}/stream-ticket")
        assert status == 201
        tickets.append(issued["ticket"])
        opened = [client.get(f"{run}/stream?ticket={tickets[-1]}") for _ in range(2)]
        assert [answer.status_code for answer in opened] == [200, 401]
    query = f"?ticket={tickets[0]}"
    for where in (f"{run}/stream-ticket", "/nothing", "/api/agents/nobody/runs/none/stream"):
        assert client.get(f"{where}{query}").status_code in {401, 404}
        assert client.post(f"{where}{query}", json={}).status_code in {404, 405}
    again = {"Last-Event-ID": "no number"}
    assert client.get(f"{run}/stream{query}", headers=again).status_code == 400
    return tickets


def look_back(gateway: Gateway, run_id: str, session: str) -> None:
    """Read all that was said, and delete it."""
    _, run = gateway.get(f"{RUNS}/{run_id}", q=[PRIVATE["query"]])
    assert PRIVATE["prompt"] in run["input"]
    for path in ("runs", "messages"):
        assert gateway.get(f"/api/sessions/{session}/{path}")[0] == 200
    assert gateway.get("/api/sessions", cursor=[PRIVATE["query"]])[0] == 400
    assert gateway.send("DELETE", f"/api/sessions/{session}")[0] == 204


def test_a_conversation_leaves_no_word_of_it_in_the_logs(
    functions: Functions, capfd: pytest.CaptureFixture[str]
) -> None:
    bearer, session = token(), str(uuid4())
    run_id = talk(functions.client, bearer, session)
    refused = be_refused(functions.client, functions.authorizer)
    reader = Gateway(functions.status.handler, scope="runs:read runs:write")
    tickets = come_with_tickets(functions, reader, f"{RUNS}/{run_id}")
    look_back(reader, run_id, session)

    printed = capfd.readouterr()
    logged = f"{functions.log.getvalue()}{printed.out}{printed.err}"
    for line in ("token refused", "ticket refused", "run failed: ", "RunsCompleted", "RunsPaused"):
        assert line in logged
    said = PRIVATE | {f"token {n}": text for n, text in enumerate([bearer, *refused])}
    said |= {f"ticket {n}": text for n, text in enumerate(tickets)}
    assert {what for what, text in said.items() if text in logged} == set()
    signatures = {text.rpartition(".")[2] for text in (bearer, *refused)}
    assert [text for text in signatures if text in logged] == []
    fields = {field for line in functions.lines() for field in line}
    assert {"runId", "reason"} <= fields <= FIELDS


def test_libraries_are_heard_from_their_warnings_on(functions: Functions) -> None:
    url = f"https://files.example/cat.png?signature={PRIVATE['signature']}"
    transport = httpx2.MockTransport(lambda _: httpx2.Response(404))
    with httpx2.Client(transport=transport) as client:
        client.get(url)
    assert functions.lines() == []
    logging.getLogger("httpx2").warning("something is wrong")
    assert [line["message"] for line in functions.lines()] == ["something is wrong"]


class Told(BaseModel):
    age: int


def fail_over(text: str) -> None:
    """Fail as what runs below an agent may, each time in other words that quote."""
    try:
        try:
            Told.model_validate({"age": text})
        except ValidationError as error:
            raise KeyError(text) from error
    except KeyError:
        float(text)


@pytest.mark.parametrize("name", ["agentrun.x", "agent_catalog.x", "lambda_asgi.x", "mangum.http"])
def test_an_exceptions_text_is_not_logged_where_it_may_quote(
    functions: Functions, name: str
) -> None:
    try:
        fail_over(PRIVATE["prompt"])
    except ValueError:
        logging.getLogger(name).exception("it failed")
    (line,) = functions.lines()
    assert PRIVATE["prompt"] not in json.dumps(line)
    kinds = ("pydantic_core._pydantic_core.ValidationError", "builtins.KeyError")
    for said in (*kinds, "builtins.ValueError", "in fail_over", "Told.model_validate"):
        assert said in line["exception"]
    assert line["exception_name"] == "ValueError"


def test_only_a_machine_with_one_reader_logs_an_exceptions_text(functions: Functions) -> None:
    log_as_json("full")
    try:
        fail_over(PRIVATE["prompt"])
    except ValueError:
        logging.getLogger("agentrun.x").exception("it failed")
    log_as_json()
    (line,) = functions.lines()
    assert line["exception"].count(PRIVATE["prompt"]) > 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailableError("The store is busy."), "The store is busy."),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "Query"), "AccessDenied"),
    ],
)
def test_an_exceptions_text_is_logged_where_it_quotes_nobody(
    functions: Functions, error: Exception, said: str
) -> None:
    logging.getLogger("agentrun.x").error("it failed", exc_info=error)
    assert said in functions.lines()[0]["exception"]
