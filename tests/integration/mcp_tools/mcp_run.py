"""A run of an agent whose only tools are those of MCP servers, with a model that is scripted."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ToolDefinition
from pydantic_ai.messages import (
    FunctionToolResultEvent,
    ModelMessage,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.run import AgentRunResultEvent

from agent_catalog.mcp.entry import McpServer
from agent_catalog.mcp.toolset import McpToolset
from agent_catalog.toolkit import Session
from tests.mcp_server.scripted import ScriptedServer

Call = tuple[str, dict[str, Any]]
ECHO: Call = ("echo", {"text": "hi"})


def entry(server: ScriptedServer, *tools: str, **fields: Any) -> McpServer:
    """Write a server down as an agent's file does; both of its tools unless others are named."""
    names = tools or ("echo", "ping")
    return McpServer.model_validate({"url": server.url, "tools": names, "timeout_s": 5} | fields)


@dataclass
class Came:
    """What came of a run: the tools that the model saw, their results, and what it ended with."""

    tools: list[ToolDefinition] = field(default_factory=list)
    results: list[tuple[str, object]] = field(default_factory=list)
    output: object = None
    messages: list[ModelMessage] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return the names of the tools."""
        return [tool.name for tool in self.tools]


class McpRun:
    """Runs an agent: the model makes the given calls at once, and then says `done`."""

    def __init__(self, *servers: McpServer) -> None:
        self.came = Came()
        self.session = Session("acme", "ana", "session-1")
        self._calls: tuple[Call, ...] = ()
        self._agent = Agent(
            FunctionModel(stream_function=self._model),
            deps_type=Session,
            output_type=[str, DeferredToolRequests],
            toolsets=[McpToolset(servers)],
        )

    async def run(self, *calls: Call) -> Came:
        """Run one turn."""
        self._calls = calls
        return await self._run("go")

    async def resume(self, **decisions: Any) -> Came:
        """Go on with a run that waits for approvals, by the tools' names."""
        pending = {
            part.tool_name: part.tool_call_id
            for message in self.came.messages
            if isinstance(message, ModelResponse)
            for part in message.parts
            if isinstance(part, ToolCallPart)
        }
        approvals = {pending[name]: decision for name, decision in decisions.items()}
        return await self._run(
            None,
            message_history=self.came.messages,
            deferred_tool_results=DeferredToolResults(approvals=approvals),
        )

    async def _run(self, prompt: str | None, **more: Any) -> Came:
        self.came = came = Came()
        async with self._agent.run_stream_events(prompt, deps=self.session, **more) as events:
            async for event in events:
                if isinstance(event, FunctionToolResultEvent):
                    assert isinstance(event.part, ToolReturnPart)
                    came.results.append((event.part.outcome, event.part.content))
                elif isinstance(event, AgentRunResultEvent):
                    came.output = event.result.output
                    came.messages = event.result.all_messages()
        return came

    async def _model(self, _: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        self.came.tools = info.function_tools
        calls, self._calls = self._calls, ()
        if not calls:
            yield "done"
        for number, (name, arguments) in enumerate(calls):
            call = DeltaToolCall(name, json.dumps(arguments), tool_call_id=f"call-{number}")
            yield {number: call}
