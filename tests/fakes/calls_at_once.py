"""Graphs of LangGraph whose model makes several calls in one answer, of which some ask."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt

from tests.fakes.own_graphs import effects
from tests.fakes.reviewed_agents import CallingModel


@tool
def pay(amount: int) -> str:
    """Pay an amount, once somebody has said so."""
    if not interrupt({"amount": amount}):
        return "not paid"
    effects.append(f"paid {amount}")
    return f"paid {amount}"


@tool
def note(text: str) -> str:
    """Note a text."""
    effects.append(f"noted {text}")
    return f"noted {text}"


async def _talk(state: Any) -> dict[str, Any]:
    return {"messages": [await CallingModel().ainvoke(state["messages"])]}


def _by_hand() -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(MessagesState)
    graph.add_node("talk", _talk)
    graph.add_node("tools", ToolNode([pay, note]))
    graph.add_edge(START, "talk")
    graph.add_conditional_edges("talk", tools_condition)
    graph.add_edge("tools", "talk")
    return graph


by_hand = _by_hand()
nested = StateGraph(MessagesState).add_node("inner", _by_hand().compile()).add_edge(START, "inner")
prebuilt = create_agent(CallingModel(), tools=[pay, note])
