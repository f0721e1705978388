"""
The peer: the same agents and engine in FastAPI under uvicorn, streamed but not recorded.

`python -m bench.peer FD [--stamped]`: serve on a socket that listens already.
"""

import json
import socket
import sys
import time
from collections.abc import AsyncGenerator
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from agent_catalog import load_catalog
from agent_catalog.models.factory import create_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.events import ContentDelta, EngineEvent
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import TurnEnded, TurnPaused

catalog = load_catalog("demo")
if "--stamped" in sys.argv:
    from bench.stamped_model import stamped_model

    engine = PydanticAiEngine(catalog, lambda _: stamped_model())
else:
    engine = PydanticAiEngine(catalog, create_model)
app = FastAPI()


class Request(BaseModel):
    """A request to the peer."""

    message: str


@app.post("/api/agents/{agent_id}/runs/stream")
async def stream_run(agent_id: str, body: Request) -> StreamingResponse:
    """Run an agent and stream its events."""
    task = AgentTask(
        run_id=str(uuid4()),
        session_id=str(uuid4()),
        tenant="default",
        user_id="peer",
        agent=catalog.agent(agent_id),
        message=body.message,
    )
    return StreamingResponse(_frames(task), media_type="text/event-stream")


async def _frames(task: AgentTask) -> AsyncGenerator[bytes, None]:
    yield _frame(1, "START", json.dumps({"runId": task.run_id, "agentId": task.agent.id}))
    number = 1
    async for event in engine.run(task, before_tool=lambda: None):
        if not isinstance(event, TurnEnded | TurnPaused):
            number += 1
            yield _frame(number, event.event, _text(event))
    yield _frame(number + 1, "STOP", json.dumps({"runId": task.run_id}))


def _text(event: EngineEvent) -> str:
    if isinstance(event, ContentDelta):
        return event.text
    return event.model_dump_json(exclude={"event"})


def _frame(number: int, event: str, data: str) -> bytes:
    body = json.dumps({"event": event, "data": data, "timestamp": int(time.time() * 1000)})
    return f"id: {number}\ndata: {body}\n\n".encode()


if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
