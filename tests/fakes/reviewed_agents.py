"""Agents of LangChain whose tool calls its HumanInTheLoopMiddleware lets a human review."""

import json
from collections.abc import Iterator
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool

from tests.fakes.own_graphs import RuleModel, effects


class CallingModel(RuleModel):
    """Makes the calls that the message lists as JSON, then says what they gave."""

    def bind_tools(self, tools: Any, **_: Any) -> "CallingModel":
        """Know the tools by heart."""
        return self

    def _chunks(self, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        text = str(messages[-1].content)
        if isinstance(messages[-1], ToolMessage):
            given: list[str] = []
            for message in reversed(messages):
                if not isinstance(message, ToolMessage):
                    break
                given.insert(0, str(message.content))
            yield ChatGenerationChunk(message=AIMessageChunk(content=" | ".join(given)))
            return
        if not text.startswith("["):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
            return
        calls = [
            tool_call_chunk(name=name, args=json.dumps(args), id=f"{name}-{number}", index=number)
            for number, (name, args) in enumerate(json.loads(text))
        ]
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=calls))


@tool
def place_order(symbol: str, shares: int) -> str:
    """Buy shares."""
    effects.append(f"bought {shares} {symbol}")
    return f"bought {shares} {symbol}"


@tool
async def send_mail(to: str) -> str:
    """Send a mail."""
    effects.append(f"mailed {to}")
    return f"mailed {to}"


@tool
def get_quote(symbol: str) -> str:
    """Look a price up."""
    effects.append(f"looked up {symbol}")
    return f"{symbol} costs 1"


@tool
def ask_user(question: str) -> str:
    """Ask the user; the answer stands in the tool's place."""
    raise AssertionError(question)


TOOLS = [place_order, send_mail, get_quote, ask_user]
REVIEWED: dict[str, Any] = {
    "place_order": True,
    "send_mail": {"allowed_decisions": ["approve", "reject"]},
    "ask_user": {"allowed_decisions": ["respond"]},
}

batched = create_agent(
    CallingModel(),
    tools=TOOLS,
    middleware=[HumanInTheLoopMiddleware(interrupt_on=REVIEWED)],
)
per_call = create_agent(
    CallingModel(),
    tools=TOOLS,
    middleware=[HumanInTheLoopMiddleware(interrupt_on=REVIEWED, interrupt_mode="per_call")],
)
