"""Strands Agents in the AgentCore SDK's app, with sessions in files."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp, RequestContext
from strands import Agent, ToolContext, tool
from strands.models.openai import OpenAIModel
from strands.session.file_session_manager import FileSessionManager

from bench.peers.apps.tools import act as act_now
from bench.peers.apps.tools import pay as pay_now

app = BedrockAgentCoreApp()
_SESSIONS = str(Path("sessions").resolve())


@tool
async def act(note: str, hold_s: float) -> str:
    """Leave one line in the file of effects."""
    return await act_now(note, hold_s)


@tool(context=True)
async def pay(note: str, tool_context: ToolContext) -> str:
    """Leave one line in the file of effects, once somebody has approved it."""
    if tool_context.interrupt("approval", reason=note) != "yes":
        return "refused"
    return await pay_now(note)


@app.entrypoint
async def invoke(payload: dict[str, Any], context: RequestContext) -> AsyncIterator[dict[str, Any]]:
    """Stream the answer; an agent per request, which finds its session in the files."""
    agent = Agent(
        model=OpenAIModel(model_id="scripted"),
        tools=[act, pay],
        callback_handler=None,
        session_manager=FileSessionManager(session_id=context.session_id, storage_dir=_SESSIONS),
    )
    limits = {"total_tokens": payload["tokens"]} if "tokens" in payload else None
    async for event in agent.stream_async(payload["prompt"], limits=limits):
        if text := event.get("data"):
            yield {"text": text}
        if result := event.get("result"):
            pauses = [{"id": pause.id, "reason": pause.reason} for pause in result.interrupts or ()]
            yield {"end": result.stop_reason, "pauses": pauses}


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1")
