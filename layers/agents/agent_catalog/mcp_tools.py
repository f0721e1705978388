"""The tools of MCP servers, as a toolset of a pydantic-ai agent."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic_ai import RunContext, ToolDefinition, ToolFailed
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from agent_catalog.json_form import to_json_value
from agent_catalog.mcp_client import McpClient
from agent_catalog.mcp_content import readable
from agent_catalog.mcp_entry import HeaderValueError, McpServer
from agent_catalog.mcp_messages import McpError, McpRefusalError, ToolDescription
from agent_catalog.secret_variables import SecretsUnavailableError, secret_variables
from agent_catalog.session import Session
from agent_catalog.tool_output import bounded

_log = logging.getLogger(__name__)
# The server knows its schema's rules, and says which of them the arguments break.
_ANY_ARGUMENTS = SchemaValidator(core_schema.dict_schema())


@dataclass(frozen=True)
class _McpTool:
    server: McpServer
    client: McpClient
    name: str
    definition: ToolDefinition


class McpToolset(AbstractToolset[Session]):
    """
    The tools that an agent's file allows of its MCP servers, connected to for one run at a time.

    A server that fails does not fail the run. Where it fails while connecting, its tools are absent
    from the run and the log says why; where it fails at a call, the model sees that the call has
    failed.
    """

    def __init__(self, servers: Sequence[McpServer]) -> None:
        self._servers = tuple(servers)
        self._clients: list[McpClient] = []
        self._tools: dict[str, _McpTool] = {}

    @property
    def id(self) -> str:
        """Tell it from the agent's other toolsets."""
        return "mcp"

    async def for_run(self, ctx: RunContext[Session]) -> "McpToolset":  # noqa: ARG002 - inherited
        """Give a toolset without connections: they belong to one run."""
        return McpToolset(self._servers)

    async def __aenter__(self) -> Self:
        """Connect to all servers at once; takes no longer than the longest of their time-outs."""
        try:
            found = await asyncio.gather(*map(self._connect, self._servers))
        except BaseException:
            await self.__aexit__()
            raise
        # In the file's order, however fast each server is: providers cache prompts that are alike.
        self._tools = {tool.definition.name: tool for tools in found for tool in tools}
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections, those of a cancelled run as well."""
        clients, self._clients = self._clients, []
        await asyncio.gather(*(client.close() for client in clients))

    async def get_tools(self, ctx: RunContext[Session]) -> dict[str, ToolsetTool[Session]]:
        """Give the tools as they were when the run began, whatever their servers say since."""
        return {
            name: ToolsetTool(
                toolset=self,
                tool_def=tool.definition,
                max_retries=ctx.max_retries,
                args_validator=_ANY_ARGUMENTS,
            )
            for name, tool in self._tools.items()
        }

    async def call_tool(
        self,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Session],
        tool: ToolsetTool[Session],  # noqa: ARG002 - inherited
    ) -> Any:
        """
        Call a tool on its server, and cut what it gives to 64 KB.

        Raises:
            ToolFailed: The tool, or its server, has failed; the message is for the model.
        """
        called = self._tools[name]
        try:
            result = await called.client.call(called.name, tool_args)
        except McpError as error:
            # The server's own words are for the model only: they may quote the arguments.
            what = "has refused the request" if isinstance(error, McpRefusalError) else error
            _log.warning("The MCP server %s %s (tool %s)", called.server.url.host, what, name)
            raise ToolFailed(f"The tool's server {error}.") from None
        content = bounded(readable(result))
        if result.is_error:
            raise ToolFailed(str(content) or "The tool has failed.")
        ctx.deps.results.add(name, to_json_value(content))
        return content

    async def _connect(self, server: McpServer) -> list[_McpTool]:
        try:
            headers = server.header_values(await secret_variables()) if server.headers else {}
            client = McpClient(str(server.url), headers, timeout_s=server.timeout_s)
            self._clients.append(client)
            found = await client.open(server.tools)
        except (HeaderValueError, SecretsUnavailableError) as error:
            _log.warning("The tools of the MCP server %s are absent: %s", server.url.host, error)
            return []
        except McpError as error:
            _log.warning("The tools of the MCP server %s are absent: it %s", server.url.host, error)
            return []
        for name in server.tools:
            if name not in found:
                _log.warning("The MCP server %s has no usable tool '%s'", server.url.host, name)
        return [
            _McpTool(server, client, name, _definition(server, found[name]))
            for name in server.tools
            if name in found
        ]


def _definition(server: McpServer, tool: ToolDescription) -> ToolDefinition:
    needs_approval = tool.name in server.approval
    return ToolDefinition(
        name=server.shown_name(tool.name),
        description=tool.description,
        parameters_json_schema=tool.input_schema,
        # As pydantic-ai marks a function that needs approval, and like those one after the other.
        kind="unapproved" if needs_approval else "function",
        sequential=needs_approval,
    )
