"""
A stand-in for an agent that speaks the Agent2Agent protocol, version 0.3, by JSON-RPC.

Its answers were recorded from a server of a2a-sdk 0.3.26, and shortened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bedrock.model_server import Exchange, ModelRequest
from tests.fakes.a2a_server import CONTEXT, TASK, A2aServer, RpcError

CARD_PATH = "/.well-known/agent-card.json"
METHODS = {"message/stream", "tasks/get", "tasks/resubscribe", "tasks/cancel"}
_HERE = {"contextId": CONTEXT, "taskId": TASK}


class A2aServer03(A2aServer):
    """A running stand-in; a method that it does not know takes nothing from its script."""

    def __init__(self) -> None:
        super().__init__()
        self.card: dict[str, Any] = {
            "capabilities": {"streaming": True},
            "defaultInputModes": ["text"],
            "defaultOutputModes": ["text"],
            "description": "A travel agency.",
            "name": "Travel desk",
            "preferredTransport": "JSONRPC",
            "protocolVersion": "0.3.0",
            "skills": [],
            "url": f"{self.url}/rpc",
            "version": "1",
        }

    def serve(self, exchange: Exchange) -> None:
        """Answer with the card, or as the script says."""
        request = exchange.request
        if request.path == CARD_PATH:
            self.requests.append(request)
            exchange.send_json(200, self.card, {"Content-Type": "application/json"})
        elif request.body["method"] not in METHODS:
            self.requests.append(request)
            RpcError(-32601).answer(exchange)
        else:
            super().serve(exchange)

    def faults(self, request: ModelRequest) -> list[str]:
        """Return what is wrong with a request."""
        params = request.body["params"]
        if request.body["method"] != "message/stream":
            return [] if params["id"] == TASK else ["no such task"]
        message = params["message"]
        wrong = [] if (message["kind"], message["role"]) == ("message", "user") else ["message"]
        return wrong + [f"part {part}" for part in message["parts"] if not _is_part(part)]

    @property
    def methods(self) -> list[str]:
        """What was asked, in order; a card has no method."""
        return [request.body.get("method", request.path) for request in self.requests]


def _is_part(part: dict[str, Any]) -> bool:
    match part:
        case {"kind": "text", "text": str()}:
            return len(part) == 2
        case {"kind": "file", "file": {"bytes": str(), "mimeType": str()}}:
            return len(part) == 2
    return False


@contextmanager
def a2a_server_0_3() -> Iterator[A2aServer03]:
    """Serve until the end of the block."""
    server = A2aServer03()
    with server.running():
        yield server


def text(said: str) -> dict[str, Any]:
    """Return a part that is text."""
    return {"kind": "text", "text": said}


def message(said: str) -> dict[str, Any]:
    """Return an answer without a task."""
    own = {"kind": "message", "messageId": "m", "role": "agent", "parts": [text(said)]}
    return {**own, "contextId": CONTEXT}


def task(state: str = "submitted", *results: str, said: str | None = None) -> dict[str, Any]:
    """Return a task with its results so far."""
    artifacts = [
        {"artifactId": f"a{number}", "parts": [text(result)]}
        for number, result in enumerate(results)
    ]
    more = {"artifacts": artifacts} if artifacts else {}
    own = {"kind": "task", "id": TASK, "contextId": CONTEXT, "history": [message("go")]}
    return {**own, "status": _status(state, said), **more}


def status(state: str, said: str | None = None) -> dict[str, Any]:
    """Return a change of a task's status."""
    final = state not in {"submitted", "working"}
    return {"kind": "status-update", "final": final, "status": _status(state, said), **_HERE}


def artifact(*parts: Any, name: str = "a0", append: bool = False) -> dict[str, Any]:
    """Return a result, or more of one; a part that is a string is text."""
    told = [text(part) if isinstance(part, str) else part for part in parts]
    more = {"append": True} if append else {}
    result = {"artifactId": name, "parts": told}
    return {"kind": "artifact-update", "artifact": result, **more, **_HERE}


def _status(state: str, said: str | None) -> dict[str, Any]:
    told = {} if said is None else {"message": {**message(said), "taskId": TASK}}
    return {"state": state, "timestamp": "2026-11-30T07:30:37.526196+00:00", **told}
