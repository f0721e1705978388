"""A server of which a test says how it answers, and which keeps what it was asked."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Message = dict[str, Any]
Answer = Callable[["Asked"], Response | Awaitable[Response]]

WAIT_S = 10


@dataclass(frozen=True)
class Asked:
    """A request as the server has received it; `message` is empty for GET and DELETE."""

    verb: str
    headers: dict[str, str]
    message: Message
    request: Request

    @property
    def name(self) -> str:
        """The method of the protocol, the HTTP verb, or `reply` for an answer of the client."""
        return self.message.get("method", "reply") if self.verb == "POST" else self.verb

    def result(self, result: object) -> Message:
        """Write the answer to it."""
        return {"jsonrpc": "2.0", "id": self.message.get("id"), "result": result}

    def error(self, code: int, message: str) -> Message:
        """Write a refusal of it."""
        error = {"code": code, "message": message}
        return {"jsonrpc": "2.0", "id": self.message.get("id"), "error": error}

    async def disconnected(self) -> None:
        """Wait until the client has closed the connection."""
        while (await self.request.receive())["type"] != "http.disconnect":
            pass


@dataclass
class ScriptedServer:
    """
    A server with the tools `echo` and `ping`, unless `answers` says otherwise.

    `answers` has the protocol's methods (and GET, DELETE) as keys.
    """

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    tools: Sequence[Message] = ()
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def reset(self) -> "ScriptedServer":
        """Forget what was asked, and answer as usual."""
        self.answers, self.asked, self.tools = {}, [], ()
        return self

    def names(self) -> list[str]:
        """Return what was asked so far, in order."""
        return [asked.name for asked in self.asked]

    def first(self, name: str) -> Asked:
        """Wait until something was asked, and give it."""
        with self._changed:
            assert self._changed.wait_for(lambda: name in self.names(), WAIT_S), self.names()
        return next(asked for asked in self.asked if asked.name == name)

    async def serve(self, request: Request) -> Response:
        """Answer one request."""
        body = await request.body()
        message = json.loads(body) if body else {}
        asked = Asked(request.method, dict(request.headers), message, request)
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()
        answer = self.answers.get(asked.name) or self._usual
        given = answer(asked)
        return given if isinstance(given, Response) else await given

    def _usual(self, asked: Asked) -> Response:
        match asked.name:
            case "initialize":
                result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
                return JSONResponse(asked.result(result), headers={"mcp-session-id": "session-1"})
            case "tools/list":
                return JSONResponse(asked.result({"tools": self.tools or TOOLS}))
            case "tools/call":
                return text(asked, json.dumps(asked.message["params"]["arguments"]))
            case "GET":
                return Response(status_code=405)
            case _:
                return Response(status_code=202)


def tool(name: str, **fields: Any) -> Message:
    """Describe a tool."""
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return {"name": name, "description": f"Does {name}.", "inputSchema": schema, **fields}


TOOLS = (tool("echo"), tool("ping"))


def text(asked: Asked, content: str, **fields: Any) -> Response:
    """Answer a call with a text."""
    result = {"content": [{"type": "text", "text": content}], **fields}
    return JSONResponse(asked.result(result))


def initialized_as(version: str) -> Answer:
    """Begin without a session, in a revision of the protocol."""
    return lambda asked: JSONResponse(asked.result({"protocolVersion": version}))


async def hangs(asked: Asked) -> Response:
    """Answer nothing until the client has given up."""
    await asked.disconnected()
    return Response()


def stream(*frames: str | Callable[[], Awaitable[object]]) -> Response:
    """Answer with an event stream: frames as they are, and what to wait for between them."""

    async def body() -> AsyncIterator[str]:
        for frame in frames:
            if isinstance(frame, str):
                yield frame
            else:
                await frame()

    return StreamingResponse(body(), media_type="text/event-stream")


def frame(message: Message, **fields: str) -> str:
    """Write a message as an event; `fields` are `id` and `retry`."""
    lines = [f"{name}: {value}" for name, value in fields.items()]
    return "\n".join([*lines, f"data: {json.dumps(message)}", "", ""])


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run one in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        scripted = ScriptedServer(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp")
        app = Starlette(routes=[Route("/mcp", scripted.serve, methods=["GET", "POST", "DELETE"])])
        # A client that leaves a connection open would otherwise block the end for ever.
        config = uvicorn.Config(
            app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=WAIT_S
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield scripted
        finally:
            server.should_exit = True
            thread.join()
