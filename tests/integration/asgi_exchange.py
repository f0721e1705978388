"""A request to an ASGI app, and its answer while it comes."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.sse import Frame, frames_of

WAIT_S = 10


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so, letting everything else go on."""
    give_up_at = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < give_up_at, f"never happened: {what}"
        await asyncio.sleep(0.002)


@dataclass
class Exchange:
    """A request and its answer, as far as it has come."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    task: "asyncio.Task[None] | None" = None

    @property
    def frames(self) -> list[Frame]:
        return list(frames_of(iter([bytes(self.body)])))

    @property
    def events(self) -> list[str]:
        return [frame.event for frame in self.frames]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def complete(self) -> "Exchange":
        assert self.task is not None
        await asyncio.wait_for(self.task, WAIT_S)
        return self


def begin(
    app: Any, method: str, target: str, headers: dict[str, str], body: bytes, **scope: Any
) -> Exchange:
    """Send a request to an ASGI app; its answer can be looked at while it comes."""
    exchange, path = Exchange(), target.partition("?")
    requests = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        return requests.pop() if requests else await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            exchange.body += message.get("body", b"")

    whole_scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "path": path[0],
        "query_string": path[2].encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        **scope,
    }
    exchange.task = asyncio.create_task(app(whole_scope, receive, send))
    return exchange
