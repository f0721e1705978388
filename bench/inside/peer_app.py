"""What peers have in common: the same request, the same frames, the same server."""

import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

Shown = tuple[str, str]
"""An event that clients see, and its data."""


class Request(BaseModel):
    """What a peer is asked for."""

    message: str


def serve(run: Callable[[str], AsyncIterator[Shown]]) -> None:
    """Serve what an agent shows of a run, on the listening socket of the first argument."""
    app = FastAPI()

    @app.post("/api/agents/{agent_id}/runs/stream")
    async def stream_run(agent_id: str, body: Request) -> StreamingResponse:
        frames = _frames(agent_id, run(body.message))
        return StreamingResponse(frames, media_type="text/event-stream")

    listening = socket.socket(fileno=int(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


async def _frames(agent_id: str, events: AsyncIterator[Shown]) -> AsyncIterator[bytes]:
    run = json.dumps({"runId": str(uuid4()), "agentId": agent_id})
    yield _frame(1, "START", run)
    number = 1
    async for event, shown in events:
        number += 1
        yield _frame(number, event, shown)
    yield _frame(number + 1, "STOP", run)


def _frame(number: int, event: str, data: str) -> bytes:
    body = json.dumps({"event": event, "data": data, "timestamp": int(time.time() * 1000)})
    return f"id: {number}\ndata: {body}\n\n".encode()
