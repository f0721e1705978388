"""
A stand-in for an agent that speaks the Agent2Agent protocol, version 1.0, by JSON-RPC.

Its answers have the form of those of a2a-sdk 1.3, with which the client was tried by hand.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bedrock import Cut, EndOfStream, Hold
from tests.bedrock.model_server import Exchange, ModelRequest, ModelServer

TASK, CONTEXT = "task-1", "context-1"
_METHODS = {"SendStreamingMessage", "SubscribeToTask", "GetTask", "CancelTask"}


class A2aServer(ModelServer):
    """A running stand-in, scripted with `Events`, `Result` and `RpcError`, one for each request."""

    def __init__(self) -> None:
        super().__init__(RpcError(-32603))

    def faults(self, request: ModelRequest) -> list[str]:
        """Return what is wrong with a request."""
        body = request.body
        wrong = [] if body["jsonrpc"] == "2.0" and "id" in body else ["is no JSON-RPC"]
        wrong += [] if body["method"] in _METHODS else [f"method {body['method']}"]
        wrong += [] if request.headers["a2a-version"] == "1.0" else ["version"]
        if body["method"] != "SendStreamingMessage":
            return wrong + ([] if body["params"]["id"] == TASK else ["no such task"])
        message = body["params"]["message"]
        if message["role"] != "ROLE_USER" or not message["messageId"] or not message["parts"]:
            wrong.append("message")
        return wrong

    def refusal(self, request: ModelRequest) -> "RpcError":
        """Refuse as the protocol says."""
        return RpcError(-32602)

    @property
    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [request.body["method"] for request in self.requests]


@contextmanager
def a2a_server() -> Iterator[A2aServer]:
    """Serve until the end of the block."""
    server = A2aServer()
    with server.running():
        yield server


@dataclass(frozen=True, init=False)
class Events:
    """A stream of results; `Hold`, `Cut` and `EndOfStream` may stand between them."""

    steps: tuple[Any, ...]

    def __init__(self, *steps: Any) -> None:
        object.__setattr__(self, "steps", steps)

    def answer(self, exchange: Exchange) -> None:
        exchange.start_stream("text/event-stream")
        for step in self.steps:
            match step:
                case Hold():
                    exchange.hold(step.until)
                case Cut():
                    exchange.cut()
                    return
                case EndOfStream():
                    break
                case _:
                    exchange.send(b"data: " + json.dumps(_answer(exchange, result=step)).encode())
                    exchange.send(b"\r\n\r\n")
        exchange.end_stream()


@dataclass(frozen=True)
class Result:
    """The answer of a method that is not streamed."""

    result: Any

    def answer(self, exchange: Exchange) -> None:
        exchange.send_json(200, _answer(exchange, result=self.result), _JSON)


@dataclass(frozen=True)
class RpcError:
    """An error."""

    code: int

    def answer(self, exchange: Exchange) -> None:
        error = {"code": self.code, "message": "The password is hunter2."}
        exchange.send_json(200, _answer(exchange, error=error), _JSON)


_JSON = {"Content-Type": "application/json"}


def _answer(exchange: Exchange, **more: Any) -> Mapping[str, Any]:
    return {"jsonrpc": "2.0", "id": exchange.request.body["id"], **more}


def task(state: str = "SUBMITTED", *artifacts: str, said: str | None = None) -> dict[str, Any]:
    """Return a task with its results so far."""
    results = [
        {"artifactId": f"a{number}", "parts": [{"text": text}]}
        for number, text in enumerate(artifacts)
    ]
    return {
        "id": TASK,
        "contextId": CONTEXT,
        "status": _status(state, said),
        "artifacts": results,
    }


def status(state: str, said: str | None = None) -> dict[str, Any]:
    """Return a change of a task's status."""
    change = {"taskId": TASK, "contextId": CONTEXT, "status": _status(state, said)}
    return {"statusUpdate": change}


def artifact(text: str, *, name: str = "a0", append: bool = False) -> dict[str, Any]:
    """Return a result, or more of one."""
    result = {"artifactId": name, "parts": [{"text": text}]}
    update = {"taskId": TASK, "contextId": CONTEXT, "artifact": result, "append": append}
    return {"artifactUpdate": update}


def message(text: str) -> dict[str, Any]:
    """Return an answer without a task."""
    parts = [{"text": text}]
    return {"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": parts, **_HERE}}


_HERE = {"contextId": CONTEXT}


def _status(state: str, said: str | None) -> dict[str, Any]:
    told = {} if said is None else {"message": message(said)["message"]}
    return {"state": f"TASK_STATE_{state}", **told}
