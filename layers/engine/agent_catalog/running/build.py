"""From an agent's file to a pydantic-ai agent."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic_ai import Agent as AiAgent
from pydantic_ai import DeferredToolRequests, RunContext
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from agent_catalog.agent_file import AgentFile
from agent_catalog.binding.gates import ToolGate
from agent_catalog.binding.tool import bind_tool
from agent_catalog.running.built import BuiltAgent, Output
from agent_catalog.tool_names import split_reference
from agent_catalog.toolkit import Session

if TYPE_CHECKING:
    from agent_catalog.foreign.graph import BuiltGraph


def build_agent(agent_id: str, file: AgentFile) -> "BuiltAgent | BuiltGraph":
    """
    Import an agent's tools and build it; each run is given its instructions and model.

    Raises:
        EngineError: The agent, or one of its tools, cannot be imported or run; the cause says why.
    """
    if file.agent is not None:
        # Imported here: few agents are made in Python.
        from agent_catalog.foreign.ai_agent import import_agent  # noqa: PLC0415

        return import_agent(agent_id, file)
    if file.graph is not None:
        from agent_catalog.foreign.graph import import_graph  # noqa: PLC0415

        return import_graph(agent_id, file)
    names = [split_reference(reference)[1] for reference in file.tools]
    tools = {
        name: bind_tool(
            reference,
            needs_approval=name in file.approval,
            timeout_s=file.tool_timeout,
            retries=file.retries,
        )
        for name, reference in zip(names, file.tools, strict=True)
    }
    agent: AiAgent[Session, Output] = AiAgent.from_spec(
        {
            "name": agent_id,
            "model_settings": file.model_settings,
            # Only for calls of unknown tools, which do nothing: they may be repeated as often as
            # the model may be called. Toolsets set the number for the tools that they have.
            "retries": {"tools": file.limits.request_limit, "output": file.retries},
            "capabilities": list(file.capabilities),
        },
        deps_type=Session,
        output_type=[str, DeferredToolRequests],
        tools=list(tools.values()),
        capabilities=[ToolGate()],
        toolsets=_toolsets(file),
    )
    return BuiltAgent(file, agent, tools)


def _toolsets(file: AgentFile) -> list[AbstractToolset[Session]]:
    if not file.mcp:
        return []
    # Imported here: every cold start imports this module, and few agents have servers.
    from agent_catalog.mcp.toolset import McpToolset  # noqa: PLC0415

    return [_WithRetries(McpToolset(file.mcp), retries=file.retries)]


@dataclass
class _WithRetries(WrapperToolset[Session]):
    """Sets how often in a row a tool may be called with arguments that do not fit."""

    retries: int = 0

    async def get_tools(self, ctx: RunContext[Session]) -> dict[str, ToolsetTool[Session]]:
        tools = await self.wrapped.get_tools(ctx)
        return {name: replace(tool, max_retries=self.retries) for name, tool in tools.items()}
