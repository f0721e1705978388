"""Asks before each tool of a run whether it may begin, whoever has brought the tool."""

from typing import Any

from pydantic_ai import RunContext, ToolDefinition
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
from pydantic_ai.messages import ToolCallPart

from agent_catalog.toolkit import Session


class ToolGate(AbstractCapability[Session]):
    """
    Calls the session's `before_tool` before each call: of the agent's own tools, of MCP servers',
    of other capabilities', and of those that are made once they are approved.

    What waits after that, for a thread or a new MCP session, has to ask once more.
    """

    def get_ordering(self) -> CapabilityOrdering:
        """Come last, after whatever other capabilities do before a call."""
        return CapabilityOrdering(position="innermost")

    async def before_tool_execute(
        self,
        ctx: RunContext[Session],
        *,
        call: ToolCallPart,  # noqa: ARG002 - inherited
        tool_def: ToolDefinition,  # noqa: ARG002 - inherited
        args: dict[str, Any],
    ) -> dict[str, Any]:
        """
        Let the call be made as it is.

        Raises:
            MayNotActError: It must not be made; the run ends with this.
        """
        ctx.deps.before_tool()
        return args
