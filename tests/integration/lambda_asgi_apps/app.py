"""One plain ASGI app; the path says how it behaves."""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from lambda_asgi import StreamingHandler, request_id, trace_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_mark: ContextVar[str] = ContextVar("mark", default="clean")
_gates: dict[str, asyncio.Event] = {}
_running = 0


async def start(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


def gate(name: str) -> asyncio.Event:
    return _gates.setdefault(name, asyncio.Event())


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    request = await receive()
    context = scope["aws.context"]
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "body": request["body"].decode(),
        "state": scope["state"],
        "requestId": request_id.get(),
        "contextRequestId": context.aws_request_id,
        "traceId": trace_id.get(),
        "traceVariable": os.environ.get("_X_AMZN_TRACE_ID"),
        "arn": context.invoked_function_arn,
        "remainingMs": context.get_remaining_time_in_millis(),
        "event": scope["aws.event"].get("version"),
    }
    await start(send, 200, (b"content-type", b"application/json"), (b"set-cookie", b"a=1"))
    await body(send, json.dumps(seen).encode(), more=False)


async def gated(scope: Message, receive: Receive, send: Send) -> None:
    """Send one part now, and the other when another invocation opens the gate."""
    global _running  # noqa: PLW0603 - counts the invocations that run at once in this process
    _running += 1
    await start(send)
    await body(send, b"first,")
    await gate(scope["query_string"].decode()).wait()
    await body(send, f"second of {_running}".encode(), more=False)
    _running -= 1


async def prelude_first(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await gate(scope["query_string"].decode()).wait()
    await body(send, b"later", more=False)


async def open_gate(scope: Message, receive: Receive, send: Send) -> None:
    gate(scope["query_string"].decode()).set()
    await start(send, 204)
    await body(send, b"", more=False)


async def paced(scope: Message, receive: Receive, send: Send) -> None:
    """Send parts, each in a loop turn of its own, then bursts within one turn."""
    await start(send)
    for part in (b"one", b"two", b"three"):
        await body(send, part)
        await asyncio.sleep(0)
    for part in (b"a", b"b", b"c", b"d"):
        await body(send, part)
    await asyncio.sleep(0)
    await body(send, b"end", more=False)


async def blocking_burst(scope: Message, receive: Receive, send: Send) -> None:
    """Send the first byte and keep the event loop busy until the server says it has it."""
    await start(send)
    await body(send, b"START")
    Path(os.environ["GATE_PIPE"]).read_text()  # noqa: ASYNC240 - to block the loop is the point
    await body(send, b"END", more=False)


async def sleeping(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await body(send, b"sleeping")
    try:
        await asyncio.sleep(3600)
    finally:
        logging.getLogger().warning("cancelled")


async def held(scope: Message, receive: Receive, send: Send) -> None:
    """Send the end when the pipe says so; the event loop stays free meanwhile."""
    await start(send)
    await body(send, b"begin,")
    await asyncio.to_thread(Path(os.environ["GATE_PIPE"]).read_text)
    await body(send, b"end", more=False)


async def large(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await body(send, b"x" * 6 * 1024 * 1024, more=False)


async def empty(scope: Message, receive: Receive, send: Send) -> None:
    await start(send, 200)
    await body(send, b"", more=False)


async def unended(scope: Message, receive: Receive, send: Send) -> None:
    await start(send, 200)
    await body(send, b"all there is")


async def redirect(scope: Message, receive: Receive, send: Send) -> None:
    await start(send, 307, (b"location", b"https://example.com/"))
    await body(send, b"", more=False)


async def bare(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the query's status and no body, as frameworks word it."""
    headers = ((b"content-length", b"0"), (b"location", b"/elsewhere"))
    await start(send, int(scope["query_string"].removeprefix(b"status=")), *headers)
    await body(send, b"", more=False)


async def sized(scope: Message, receive: Receive, send: Send) -> None:
    """Send `abc` and declare the length that the query says."""
    await start(send, 200, (b"content-length", scope["query_string"]))
    await asyncio.sleep(0)
    await body(send, b"abc", more=False)


async def empty_stream(scope: Message, receive: Receive, send: Send) -> None:
    """Stream without a byte; the prelude has left when that turns out."""
    await start(send, 200, (b"content-type", b"text/event-stream"))
    await asyncio.sleep(0)
    await body(send, b"", more=False)


async def start_only(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)


async def die_after_prelude(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await asyncio.sleep(0)
    raise ValueError("the prelude has left")


async def silent(scope: Message, receive: Receive, send: Send) -> None:
    await receive()


async def fail_early(scope: Message, receive: Receive, send: Send) -> None:
    raise ValueError("before anything")


async def fail_after_start(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    raise ValueError("no byte has left")


async def fail_midway(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await body(send, b"some")
    raise ValueError("é" * 5000 if scope["query_string"] else "midway")


async def fail_late(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await body(send, b"all", more=False)
    raise ValueError("too late to matter")


async def cancel_itself(scope: Message, receive: Receive, send: Send) -> None:
    raise asyncio.CancelledError("by itself")


async def headers_too_large(scope: Message, receive: Receive, send: Send) -> None:
    await start(send, 200, (b"x-large", b"x" * 17000))


async def disconnected(scope: Message, receive: Receive, send: Send) -> None:
    """Stream on after the connection broke, and say in the log that it could."""
    await start(send)
    for _ in range(20):
        await body(send, b"z" * 100_000)
        await asyncio.sleep(0)
    await body(send, b"", more=False)
    await receive()
    message = await receive()
    logging.getLogger("app").warning("ran to its end: %s", message["type"])


async def log(scope: Message, receive: Receive, send: Send) -> None:
    logging.getLogger("app").warning("hello\n%s", "world", extra={"runId": "r1"})
    print("printed", flush=False)  # noqa: T201 - what it looks like is the test
    await start(send, 204)
    await body(send, b"", more=False)


async def leave_mark(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the mark that was here before."""
    before = _mark.get()
    _mark.set("left behind")
    await start(send)
    await body(send, before.encode(), more=False)


_ROUTES = {
    f"/{route.__name__}": route
    for route in (
        *(echo, gated, prelude_first, open_gate, paced, blocking_burst, sleeping, held, large),
        *(bare, sized, empty_stream, start_only, die_after_prelude),
        *(empty, unended, redirect, silent, fail_early, fail_after_start, fail_midway, fail_late),
        *(cancel_itself, headers_too_large, disconnected, log, leave_mark),
    )
}


async def lifespan(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    scope["state"]["started"] = True
    await send({"type": "lifespan.startup.complete"})
    await receive()
    logging.getLogger("lifespan").warning("shut down")
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Message, receive: Receive, send: Send) -> None:
    route = lifespan if scope["type"] == "lifespan" else _ROUTES[scope["path"]]
    await route(scope, receive, send)


handler = StreamingHandler(app)
