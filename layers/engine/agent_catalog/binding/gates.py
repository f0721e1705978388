"""What a call has to pass before its tool begins."""

from typing import Any

from pydantic_ai import ApprovalRequired, RunContext, ToolDefinition
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
from pydantic_ai.messages import ToolCallPart

from agent_catalog.toolkit import Session


class ToolGate(AbstractCapability[Session]):
    """
    Calls the session's `before_tool` before each call of any tool: the agent's own, an MCP server's
    or another capability's, approved or not.

    A call that then waits, for a thread or a new MCP session, has to ask again.
    """

    def get_ordering(self) -> CapabilityOrdering:
        """Come last, after other capabilities' work before a call."""
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
        Return the arguments unchanged if the call may be made.

        Raises:
            MayNotActError: It may not; the run ends with this error.
        """
        ctx.deps.before_tool()
        return args


class HeldCalls(AbstractCapability[Session]):
    """
    Lets certain calls wait for an approval while others of the same answer run.

    pydantic-ai goes on with an answer only if each of its calls is given something to go on with.
    """

    def __init__(self, held: frozenset[str]) -> None:
        self._held = held

    async def before_tool_execute(
        self,
        ctx: RunContext[Session],  # noqa: ARG002 - inherited
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,  # noqa: ARG002 - inherited
        args: dict[str, Any],
    ) -> dict[str, Any]:
        """
        Return the arguments unchanged if the call need not wait.

        Raises:
            ApprovalRequired: It has to; the run pauses for it.
        """
        if call.tool_call_id in self._held:
            raise ApprovalRequired
        return args
