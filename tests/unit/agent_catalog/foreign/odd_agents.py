"""Agents from Python that cannot be run as they are, and one that shows how its tools fail."""

from dataclasses import dataclass

from pydantic_ai import Agent as AiAgent
from pydantic_ai import ModelRetry, RunContext, Tool
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset, FunctionToolset

from agent_catalog.toolkit import Session, ToolInputError


@dataclass
class Place:
    """Dependencies."""

    name: str


def refund(order: str) -> str:
    """Pay an order back."""
    return f"paid {order}"


def refuse() -> str:
    """Refuse in words for the model."""
    raise ToolInputError("No such book.")


def crash() -> str:
    """Fail in a way that nobody has foreseen."""
    raise RuntimeError("the password is hunter2")


def once_more(ctx: RunContext[Session]) -> str:
    """Ask the model to call again, once."""
    if not ctx.retry:
        raise ModelRetry("Again, please.")
    return "done"


def long() -> str:
    """Return more than a conversation can hold."""
    return "x" * 100_000


def earlier(ctx: RunContext[Session]) -> list[object]:
    """Return what `refund` has returned in this conversation."""
    return list(ctx.deps.results.of("refund"))


number = 3
structured = AiAgent(output_type=int)
validated = AiAgent()
prompted = AiAgent(system_prompt="Be brief.")
with_model = AiAgent(TestModel())
dependent = AiAgent(deps_type=Place)
cautious = AiAgent(tools=[Tool(refund, requires_approval=True)])
open_handed = AiAgent(tools=[refund])
asking_later = AiAgent(toolsets=[FunctionToolset([refund]).approval_required()])
prefixed = AiAgent(toolsets=[FunctionToolset([refund]).prefixed("shop")])
external = AiAgent(toolsets=[ExternalToolset([ToolDefinition(name="refund")])])
failing = AiAgent(tools=[refuse, crash, long, refund, earlier, Tool(once_more, takes_ctx=True)])


@validated.output_validator
def _always(text: str) -> str:
    return text


REFUSED = (
    ("number", "must be an Agent of pydantic-ai, not int"),
    ("structured", "output_type: only text"),
    ("validated", "output_validator: the answer is streamed"),
    ("prompted", "system_prompt: is kept in the history"),
    ("with_model", "model: callers are shown the file's model; add 'model: test:test' there"),
    ("dependent", "deps_type: add 'deps: tools.module:function'"),
    ("cautious", "the tool 'refund' needs an approval; name it under 'approval'"),
)
"""Names of this module, and why each is refused."""
