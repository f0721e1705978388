"""Graphs of LangGraph whose model answers with the chunks that the message lists as JSON."""

import json
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from tests.fakes.own_graphs import RuleModel, effects


class OddModel(RuleModel):
    """
    Answers with chunks as listed, then says `Paid.` after a tool.

    A chunk may have `text`, the `arguments` of a call of `pay` or a part of them, what its provider
    says of it (`told`), and the tokens used (`usage`: input and output).
    """

    def _chunks(self, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        if isinstance(messages[-1], ToolMessage):
            yield ChatGenerationChunk(message=AIMessageChunk(content="Paid."))
            return
        for chunk in json.loads(str(messages[-1].content)):
            yield ChatGenerationChunk(message=_message(chunk))


def _message(chunk: dict[str, Any]) -> AIMessageChunk:
    calls = []
    if "arguments" in chunk:
        calls = [tool_call_chunk(name="pay", args=chunk["arguments"], id="c1", index=0)]
    usage = None
    if "usage" in chunk:
        given, said = chunk["usage"]
        usage = {"input_tokens": given, "output_tokens": said, "total_tokens": given + said}
    return AIMessageChunk(
        content=chunk.get("text", ""),
        tool_call_chunks=calls,
        response_metadata=chunk.get("told", {}),
        usage_metadata=usage,
    )


@tool
def pay(amount: int) -> str:
    """Pay an amount."""
    effects.append(f"paid {amount}")
    return "paid"


async def _talk(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await OddModel().ainvoke(state["messages"])]}


async def _talk_and_pay(state: MessagesState) -> dict[str, Any]:
    """Take any failure for an answer, and pay whatever comes of it."""
    try:
        await OddModel().ainvoke(state["messages"])
    except Exception:  # noqa: BLE001 - as careless nodes do
        effects.append("failed")
    try:
        await pay.ainvoke({"amount": 10})
    except Exception:  # noqa: BLE001 - as careless nodes do
        effects.append("failed again")
    return {"messages": [AIMessage("Paid.")]}


paying = StateGraph(MessagesState)
paying.add_node("talk", _talk)
paying.add_node("tools", ToolNode([pay]))
paying.add_edge(START, "talk")
paying.add_conditional_edges("talk", tools_condition)
paying.add_edge("tools", "talk")

careless = StateGraph(MessagesState).add_node("talk", _talk_and_pay).add_edge(START, "talk")
