"""Plain ASGI apps that send small messages as fast as possible; the path says how many."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lambda_asgi import StreamingHandler

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# As long as a frame with a token in it.
FRAME = b'id: 123\ndata: {"event":"CONTENT_DELTA","data":"token ","timestamp":1795376483123}\n\n'


async def app(scope: Message, _: Receive, send: Send) -> None:
    """Answer `/api/agents/<count>/…` with that many frames, all in one go."""
    for _frame in range(await _begin(scope, send)):
        await send({"type": "http.response.body", "body": FRAME, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def turning_app(scope: Message, _: Receive, send: Send) -> None:
    """Do the same, yielding to the event loop after each frame, as an app that waits does."""
    for _frame in range(await _begin(scope, send)):
        await send({"type": "http.response.body", "body": FRAME, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _begin(scope: Message, send: Send) -> int:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    return int(scope["path"].split("/")[3])


handler = StreamingHandler(app)
turning_handler = StreamingHandler(turning_app)
