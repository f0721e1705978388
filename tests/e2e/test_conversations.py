"""Conversations and approvals whose every step is another process, on two models."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.bedrock import BedrockServer, ModelRequest, Reply, Text, ToolUse, bedrock_server
from tests.e2e.conftest import ROOT, LocalStack, running_stack, wait_until
from tests.e2e.processes import kill_stream_processes
from tests.e2e.sse import Frame, content, frames_of

AGENT = "/api/agents/finance_agent/runs"
ORDERS = {"Buy 10 shares of AMZN": ("AMZN", 10), "Buy 1 share of MSFT": ("MSFT", 1)}


def broker(request: ModelRequest) -> Reply:
    """Answer as a model would that sees the conversation, and nothing else."""
    messages = request.body["messages"]
    last = messages[-1]["content"]
    results = [block["toolResult"] for block in last if "toolResult" in block]
    if results:
        return Reply(Text("The tools say: ", json.dumps([result["content"] for result in results])))
    asked = " ".join(block["text"] for block in last if "text" in block)
    call_id = f"call_{len(messages)}"
    if asked in ORDERS:
        symbol, shares = ORDERS[asked]
        order = {"symbol": symbol, "side": "buy", "shares": shares}
        return Reply(ToolUse(call_id, "place_order", order), stop="tool_use")
    if "portfolio" in asked:
        return Reply(ToolUse(call_id, "get_portfolio", {}), stop="tool_use")
    said = [
        block["text"]
        for message in messages[:-1]
        for block in message["content"]
        if "text" in block
    ]
    return Reply(Text("You said: ", " / ".join(said)))


@pytest.fixture(scope="module")
def bedrock() -> Iterator[BedrockServer]:
    with bedrock_server() as server:
        server.always(broker)
        yield server


@pytest.fixture(scope="module")
def bedrock_stack(
    bedrock: BedrockServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """Yield a stack whose agents run on Bedrock, as far as boto3 knows."""
    model = "bedrock:global.anthropic.claude-sonnet-5-5"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bedrock.environment.items():
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("bedrock")
        with running_stack(ROOT / "template.yaml", folder, "--model", model) as stack:
            yield stack


@pytest.fixture(params=["demo", "bedrock"])
def stack(request: pytest.FixtureRequest) -> LocalStack:
    name = "local_stack" if request.param == "demo" else "bedrock_stack"
    found: LocalStack = request.getfixturevalue(name)
    return found


class Customer:
    """One user's conversation; the process that served a request is gone before the next one."""

    def __init__(self, stack: LocalStack, client: httpx.Client) -> None:
        self.stack = stack
        self.client = client
        self.session = str(uuid4())
        self.run_id = ""

    def say(self, message: str) -> list[Frame]:
        return self._stream(f"{AGENT}/stream", {"message": message, "sessionId": self.session})

    def decide(self, **decision: Any) -> list[Frame]:
        return self._stream(f"{AGENT}/{self.run_id}/continue", decision)

    def _stream(self, path: str, body: dict[str, Any]) -> list[Frame]:
        kill_stream_processes(self.stack)
        headers = {"Accept": "text/event-stream"}
        with self.client.stream("POST", path, json=body, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            self.run_id = answer.headers["x-run-id"]
            return list(frames_of(answer.iter_raw()))

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"{AGENT}/{self.run_id}/status").json()
        return found

    def shares(self) -> dict[str, int]:
        """Ask for the portfolio; return the number of shares by symbol."""
        frames = self.say("Show my portfolio.")
        result = next(frame.object["result"] for frame in frames if frame.event == "TOOL_END")
        assert frames[-1].event == "STOP"
        return {held["symbol"]: held["shares"] for held in result["positions"]}


@pytest.fixture
def customer(stack: LocalStack) -> Iterator[Customer]:
    with stack.client(user=f"user-{uuid4()}") as client:
        yield Customer(stack, client)


def types(frames: list[Frame]) -> list[str]:
    return [frame.event for frame in frames if frame.event != "REASONING_DELTA"]


def test_orders_are_decided_in_other_processes(customer: Customer) -> None:
    before = customer.shares()
    asked = customer.say("Buy 10 shares of AMZN")
    assert types(asked)[-2:] == ["METRICS", "PAUSED"]
    assert "TOOL_START" not in types(asked)
    action = asked[-1].object
    assert (action["tool"], action["arguments"]["shares"]) == ("place_order", 10)
    paused = customer.state()
    assert (paused["status"], paused["requiredAction"]) == ("PAUSED", action)

    done = customer.decide(action="APPROVE")
    assert [name for name in types(done) if name != "CONTENT_DELTA"] == [
        "START",
        "TOOL_START",
        "TOOL_END",
        "METRICS",
        "STOP",
    ]
    assert [frame.id for frame in asked + done] == list(range(1, len(asked + done) + 1))
    ended = customer.state()
    assert (ended["status"], "requiredAction" in ended) == ("COMPLETED", False)

    customer.say("Buy 1 share of MSFT")
    refused = customer.decide(action="REJECT", reason="Too expensive.")
    error = next(frame.object for frame in refused if frame.event == "TOOL_ERROR")
    assert "Too expensive." in error["error"]
    assert customer.state()["status"] == "COMPLETED"

    after = customer.shares()
    assert after == before | {"AMZN": before.get("AMZN", 0) + 10}


def test_four_turns_know_of_each_other(customer: Customer) -> None:
    customer.say("My name is Ada.")
    customer.say("I live in Turin.")
    customer.say("Show my portfolio.")
    assert "Ada" in content(customer.say("What is my name?"))
    runs = customer.client.get(f"/api/sessions/{customer.session}/runs").json()
    assert [run["status"] for run in runs] == ["COMPLETED"] * 4
    messages = customer.client.get(f"/api/sessions/{customer.session}/messages").json()
    assert [message["role"] for message in messages if message["role"] != "tool"] == [
        *("user", "assistant") * 4
    ]


def test_an_approval_is_resolved_by_its_id_alone(customer: Customer) -> None:
    approval = customer.say("Buy 10 shares of AMZN")[-1].object["approvalId"]
    kill_stream_processes(customer.stack)
    path = f"/api/v1/approvals/{approval}/resolve"
    answer = customer.client.post(path, json={"decision": "APPROVED"})
    assert (answer.status_code, answer.json()["status"]) == (200, "RUNNING")
    assert customer.client.post(path, json={"decision": "APPROVED"}).status_code == 409
    wait_until(lambda: customer.state()["status"] == "COMPLETED", "the run has gone on")


def test_a_continuation_is_answered_once_with_the_whole_run(customer: Customer) -> None:
    customer.say("Buy 10 shares of AMZN")
    answer = customer.client.post(
        f"{AGENT}/{customer.run_id}/continue",
        json={"action": "APPROVE"},
    )
    assert answer.status_code == 200
    result = answer.json()
    assert (result["status"], result["runId"]) == ("COMPLETED", customer.run_id)
    assert [(tool["toolName"], tool["isError"]) for tool in result["tools"]] == [
        ("place_order", False)
    ]
    again = customer.client.post(f"{AGENT}/{customer.run_id}/continue", json={"action": "APPROVE"})
    assert again.status_code == 409


def test_a_killed_run_leaves_the_conversation_usable(tmp_path: Path, customer: Customer) -> None:
    customer.say("My name is Ada.")
    body = {"message": "Show my portfolio.", "sessionId": customer.session}
    with customer.client.stream("POST", f"{AGENT}/stream", json=body) as answer:
        customer.run_id = answer.headers["x-run-id"]
        next(frames_of(answer.iter_raw()))
        kill_stream_processes(customer.stack)
    wait_until(lambda: customer.state()["status"] != "RUNNING", "the run has ended")
    assert "Ada" in content(customer.say("What is my name?"))
