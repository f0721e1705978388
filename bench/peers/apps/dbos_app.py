"""pydantic-ai on DBOS with SQLite: a run is a workflow, its steps are stored."""

import json
import os
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from dbos import DBOS, SetWorkflowID
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, RunContext, Tool
from pydantic_ai.durable_exec.dbos import DBOSDurability
from pydantic_ai.messages import (
    AgentStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.tools import ToolApproved, ToolDenied
from pydantic_ai.usage import UsageLimits

from bench.peers.apps.tools import act, pay

DBOS(
    config={
        "name": "peer",
        "system_database_url": "sqlite:///dbos.sqlite",
        "run_admin_server": False,
    }
)


async def forward(_: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
    """Write the answer's texts to the workflow's stream."""
    async for event in events:
        match event:
            case PartStartEvent(part=TextPart(content=text)):
                await DBOS.write_stream_async("text", text)
            case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                await DBOS.write_stream_async("text", text)
            case _:
                continue


act_step, pay_step = DBOS.step()(act), DBOS.step()(pay)
agent = Agent(
    OpenAIChatModel("scripted"),
    name="peer",
    output_type=[str, DeferredToolRequests],
    tools=[Tool(act_step), Tool(pay_step, requires_approval=True)],
    capabilities=[DBOSDurability(event_stream_handler=forward)],
)


@DBOS.workflow()
async def answer(message: str, tokens: int | None) -> str:
    """Answer a message; wait up to a day for an approval."""
    limits = UsageLimits(total_tokens_limit=tokens, request_limit=None)
    result = await agent.run(message, usage_limits=limits)
    while isinstance(result.output, DeferredToolRequests):
        await DBOS.set_event_async("paused", True)
        approved = await DBOS.recv_async("approval", timeout_seconds=86_400)
        decided: dict[str, bool | ToolApproved | ToolDenied] = {
            call.tool_call_id: bool(approved) for call in result.output.approvals
        }
        result = await agent.run(
            message_history=result.all_messages(),
            deferred_tool_results=DeferredToolResults(approvals=decided),
            usage_limits=limits,
        )
    return str(result.output)


class Ask(BaseModel):
    """A question; `tokens` is how many the answer may take."""

    message: str
    tokens: int | None = None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Launch DBOS, which goes on with what this executor has left."""
    DBOS.launch()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)


@app.post("/runs")
async def start(ask: Ask, idempotency_key: str = Header()) -> dict[str, str]:
    """Start a run; the key is its id."""
    with SetWorkflowID(idempotency_key):
        handle = await DBOS.start_workflow_async(answer, ask.message, ask.tokens)
    return {"id": handle.get_workflow_id()}


@app.get("/runs/{run_id}/stream")
async def stream(run_id: str, offset: int = 0) -> StreamingResponse:
    """Stream a run's texts from an offset on."""

    async def frames() -> AsyncIterator[str]:
        place = offset
        async for text in DBOS.read_stream_async(
            run_id, "text", offset=offset, polling_interval_sec=0.05
        ):
            place += 1
            yield f"id: {place}\ndata: {json.dumps({'text': text})}\n\n"
        yield f"data: {json.dumps({'end': True})}\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream")


@app.get("/runs")
async def statuses(ids: str) -> list[dict[str, Any]]:
    """Tell what has become of some runs."""
    found = await DBOS.list_workflows_async(workflow_ids=ids.split(","))
    return [{"id": one.workflow_id, "status": one.status, "output": one.output} for one in found]


@app.post("/runs/{run_id}/cancel")
async def cancel(run_id: str) -> None:
    """Cancel a run."""
    await DBOS.cancel_workflow_async(run_id)


@app.post("/runs/{run_id}/approve")
async def approve(run_id: str) -> None:
    """Approve what a run waits for."""
    await DBOS.send_async(run_id, True, "approval")


@app.get("/runs/{run_id}/paused")
async def paused(run_id: str) -> bool:
    """Tell whether a run waits for an approval."""
    return bool(await DBOS.get_event_async(run_id, "paused", timeout_seconds=0))


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
