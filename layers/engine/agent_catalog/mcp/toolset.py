"""The tools of MCP servers, as a toolset of a pydantic-ai agent."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic_ai import RunContext, ToolDefinition, ToolFailed
from pydantic_ai.models import AbstractModel, Model, ModelRequestParameters
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from agent_catalog.binding.tool import bounded, call_key
from agent_catalog.json_form import to_json_value
from agent_catalog.mcp.client import McpClient
from agent_catalog.mcp.content import ToolDescription, fault_of_size
from agent_catalog.mcp.entry import HeaderValueError, McpServer
from agent_catalog.mcp.messages import McpError, McpRefusalError, McpUntakenError
from agent_catalog.secret_variables import SecretsUnavailableError, secret_variables
from agent_catalog.toolkit import Session
from agentrun.domain.agents import Replay
from agentrun.domain.errors import MayNotActError

_log = logging.getLogger(__name__)
_IN_DOUBT = "; it may have made the call"
_UNREADABLE = f"What the tool's server has sent cannot be read{_IN_DOUBT}."
# The server checks the arguments against its schema itself.
_ANY_ARGUMENTS = SchemaValidator(core_schema.dict_schema())


@dataclass
class _McpTool:
    server: McpServer
    client: McpClient
    described: ToolDescription
    definition: ToolDefinition
    # The last model that was found to accept the tool.
    fitting_model: AbstractModel | None = None


class McpToolset(AbstractToolset[Session]):
    """
    The tools of an agent's MCP servers that its file allows; each run has its own connections.

    A failing server does not fail the run. If it fails while connecting, the run goes without its
    tools and the log says why; if it fails at a call, the model sees that the call failed.
    """

    def __init__(self, servers: Sequence[McpServer]) -> None:
        self._servers = tuple(servers)
        self._clients: list[McpClient] = []
        self._tools: dict[str, _McpTool] = {}

    @property
    def id(self) -> str:
        """Identifies it among the agent's toolsets."""
        return "mcp"

    async def for_run(self, ctx: RunContext[Session]) -> "McpToolset":  # noqa: ARG002 - inherited
        """Return a new toolset, since connections belong to one run."""
        return McpToolset(self._servers)

    async def __aenter__(self) -> Self:
        """Connect to all servers at once, within the longest of their time-outs."""
        try:
            found = await asyncio.gather(*map(self._connect, self._servers))
        except BaseException:
            await self.__aexit__()
            raise
        # In the file's order, not in that of answers: providers cache identical prompts.
        self._tools = {tool.definition.name: tool for tools in found for tool in tools}
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections, also those of a cancelled run."""
        clients, self._clients = self._clients, []
        await asyncio.gather(*(client.close() for client in clients))

    async def get_tools(self, ctx: RunContext[Session]) -> dict[str, ToolsetTool[Session]]:
        """
        Return the tools as listed when the run began, without those that the model cannot use.
        """
        self._tools = {
            name: tool for name, tool in self._tools.items() if self._fits(tool, ctx.model)
        }
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
        Call a tool on its server, and cut its result to 64 KB.

        Raises:
            ToolFailed: The tool or its server failed; the message is for the model.
            MayNotActError: No tool may begin any more.
        """
        called = self._tools[name]
        host = called.server.url.host
        try:
            arguments = called.described.parameters.arguments(tool_args)
            replay = called.server.replay.get(called.described.name)
            result = await called.client.call(
                called.described.name,
                arguments,
                before_sending=ctx.deps.before_tool,
                key=call_key(ctx) if replay is Replay.IDEMPOTENT else None,
            )
            content = bounded(result.content)
        except McpError as error:
            # Not the server's own words, which may quote the arguments: they are for the model.
            what = "has refused the request" if isinstance(error, McpRefusalError) else error
            _log.warning("The MCP server %s %s (tool %s)", host, what, name)
            raise ToolFailed(_told_of(error)) from None
        except MayNotActError:
            raise
        except Exception:  # noqa: BLE001 - a server must not fail the run
            _log.exception("An answer of the MCP server %s cannot be read (tool %s)", host, name)
            raise ToolFailed(_UNREADABLE) from None
        if result.failed:
            raise ToolFailed(str(content))
        ctx.deps.results.add(name, to_json_value(content))
        return content

    async def _connect(self, server: McpServer) -> list[_McpTool]:
        host = server.url.host
        try:
            headers = server.header_values(await secret_variables()) if server.headers else {}
            client = McpClient(str(server.url), headers, timeout_s=server.timeout_s)
            self._clients.append(client)
            listing = await client.open(server.tools)
        except (HeaderValueError, SecretsUnavailableError) as error:
            _log.warning("The tools of the MCP server %s are absent: %s", host, error)
            return []
        except McpError as error:
            _log.warning("The tools of the MCP server %s are absent: it %s", host, error)
            return []
        except Exception:  # noqa: BLE001 - a server must not fail the run
            _log.exception("The tools of the MCP server %s are absent", host)
            return []
        for name in server.tools:
            if name not in listing.found:
                reason = listing.fault(name)
                _log.warning("The MCP server %s has no usable tool '%s': %s", host, name, reason)
            elif name in listing.repeated:
                _log.warning("The MCP server %s lists the tool '%s' more than once", host, name)
        return [
            _McpTool(server, client, listing.found[name], _definition(server, listing.found[name]))
            for name in server.tools
            if name in listing.found
        ]

    def _fits(self, tool: _McpTool, model: AbstractModel) -> bool:
        if tool.fitting_model is model or not isinstance(model, Model):
            return True
        asked = ModelRequestParameters(function_tools=[tool.definition])
        try:
            (made,) = model.customize_request_parameters(asked).function_tools
            reason = fault_of_size(made.description or "", made.parameters_json_schema)
        except Exception as error:  # noqa: BLE001 - the library may raise anything
            reason = f"no schema for the model can be made of it ({type(error).__name__})"
        if reason is None:
            tool.fitting_model = model
            return True
        host, name = tool.server.url.host, tool.described.name
        _log.warning("The MCP server %s has no usable tool '%s': %s", host, name, reason)
        return False


def _told_of(error: McpError) -> str:
    """Return what a model, which may call again, is told of a server that has failed."""
    known = isinstance(error, McpRefusalError | McpUntakenError)
    return f"The tool's server {error}{'' if known else _IN_DOUBT}."


def _definition(server: McpServer, tool: ToolDescription) -> ToolDefinition:
    needs_approval = tool.name in server.approval
    return ToolDefinition(
        name=server.shown_name(tool.name),
        description=tool.description,
        parameters_json_schema=tool.parameters.schema,
        # As pydantic-ai marks functions that need approval; they run one after the other.
        kind="unapproved" if needs_approval else "function",
        sequential=needs_approval,
    )
