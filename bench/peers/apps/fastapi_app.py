"""FastAPI and pydantic-ai, as one would write it first: a stream, no store."""

import json
import os
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.usage import UsageLimits

from bench.peers.apps.tools import act

app = FastAPI()
agent = Agent(OpenAIChatModel("scripted"), tools=[act])


class Ask(BaseModel):
    """A question; `tokens` is how many the answer may take."""

    message: str
    tokens: int | None = None


@app.post("/chat")
async def chat(ask: Ask) -> StreamingResponse:
    """Stream the answer."""
    return StreamingResponse(_events(ask), media_type="text/event-stream")


async def _events(ask: Ask) -> AsyncIterator[str]:
    limits = UsageLimits(total_tokens_limit=ask.tokens, request_limit=None)
    async with agent.run_stream_events(ask.message, usage_limits=limits) as events:
        async for event in events:
            match event:
                case PartStartEvent(part=TextPart(content=text)):
                    yield f"data: {json.dumps({'text': text})}\n\n"
                case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                    yield f"data: {json.dumps({'text': text})}\n\n"
                case _:
                    continue
    yield f"data: {json.dumps({'end': True})}\n\n"


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
