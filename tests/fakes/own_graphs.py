"""Graphs of LangGraph whose model follows rules, as the demo model does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph, add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt

from agent_catalog import AgentCatalog, load_catalog

effects: list[str] = []
"""What tools and nodes have done, oldest first."""


class RuleModel(BaseChatModel):
    """
    Says the last message of the user, word by word, after what the tools have returned.

    `/call NAME {...}` calls a tool, `/think TEXT` is thought first, `/fail` fails, `/wait` stops
    after a word.
    """

    @property
    def _llm_type(self) -> str:
        return "rules"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        chunks = [chunk.message for chunk in self._chunks(messages)]
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        return ChatResult(generations=[ChatGeneration(message=whole)])

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        said = str(messages[-1].content)
        for chunk in self._chunks(messages):
            yield chunk
            if said == "/wait":
                await asyncio.sleep(60)
        if said == "/fail":
            raise RuntimeError("the password is hunter2")

    def _chunks(self, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        last = messages[-1]
        text = str(last.content)
        call = re.fullmatch(r"/call (\w+) (\{.*\})", text)
        usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
        if isinstance(last, ToolMessage):
            text = f"It gave {text}"
        elif call:
            name, arguments = call.groups()
            part = tool_call_chunk(name=name, args=arguments, id=f"call_{len(messages)}", index=0)
            message = AIMessageChunk(content="", tool_call_chunks=[part], usage_metadata=usage)
            yield ChatGenerationChunk(message=message)
            return
        elif text.startswith("/think "):
            text = text.removeprefix("/think ")
            thought = [{"type": "reasoning", "reasoning": text, "index": 0}]
            yield ChatGenerationChunk(message=AIMessageChunk(content=thought))
        for word in re.findall(r"\S+\s*", text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))


async def talk(state: MessagesState) -> dict[str, Any]:
    """Ask the model."""
    return {"messages": [await RuleModel().ainvoke(state["messages"])]}


@tool
def add(left: int, right: int) -> int:
    """Add two numbers."""
    effects.append("add")
    return left + right


@tool
def crash() -> str:
    """Fail in a way that nobody has foreseen."""
    raise RuntimeError("the password is hunter2")


@tool
def ask_first(order: str) -> str:
    """Order something, once somebody has said so."""
    if not interrupt({"order": order}):
        return "not ordered"
    effects.append(f"ordered {order}")
    return f"ordered {order}"


def _graph(**nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(MessagesState)
    names = list(nodes)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


def _looping(*tools: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(MessagesState)
    graph.add_node("talk", talk)
    graph.add_node("tools", ToolNode(list(tools)))
    graph.add_edge(START, "talk")
    graph.add_conditional_edges("talk", tools_condition)
    graph.add_edge("tools", "talk")
    return graph


def approve(state: MessagesState) -> dict[str, Any]:
    """Ask for a refund's approval."""
    given = interrupt({"refund": str(state["messages"][-1].content)})
    effects.append("refund" if given else "none")
    return {"messages": [AIMessage(f"decided {json.dumps(given)}")]}


def approve_calls(state: MessagesState) -> dict[str, Any]:
    """Ask in the form of LangChain's HumanInTheLoopMiddleware."""
    actions = [
        {"name": "place_order", "args": {"shares": 2}, "description": "An order."},
        {"name": "send_mail", "args": {"to": "Ana"}, "description": "A mail."},
    ]
    given = interrupt({"action_requests": actions, "review_configs": []})
    return {"messages": [AIMessage(json.dumps(given["decisions"]))]}


class Counted(TypedDict):
    """A state with more than messages."""

    messages: Annotated[list[AnyMessage], add_messages]
    turns: int


def count(state: Counted) -> dict[str, Any]:
    """Count the turns of the conversation."""
    turns = state.get("turns", 0) + 1
    text = f"turn {turns}, {len(state['messages'])} messages"
    return {"turns": turns, "messages": [AIMessage(text)]}


def see(state: MessagesState) -> dict[str, Any]:
    """Say of which kinds the files are that the messages hold, and how large they are."""
    seen = [
        f"{block['type']} {block['mime_type']} {len(block['base64'])}"
        if "base64" in block
        else str(block["text"])
        for message in state["messages"]
        if isinstance(message.content, list)
        for block in message.content
        if isinstance(block, dict)
    ]
    return {"messages": [AIMessage("; ".join(seen) + ". ")]}


def note(name: str) -> Any:
    """Return a node that notes that it has run, and says so."""

    def run(_: MessagesState) -> dict[str, Any]:
        effects.append(name)
        return {"messages": [AIMessage(f"{name} ")]}

    return run


def whose(_: MessagesState) -> dict[str, Any]:
    """Say by another way than messages whose conversation it is."""
    session = get_config()["configurable"]["session"]
    get_stream_writer()(f"{session.tenant}/{session.user_id}/{session.run_id}")
    return {}


def _counting() -> Any:
    graph = StateGraph(Counted)
    graph.add_node("count", count)
    graph.add_edge(START, "count")
    return graph.compile()


echo = _graph(talk=talk)
analyst = _looping(add, crash)
orders = _looping(ask_first).compile()
refunds = _graph(approve=approve, talk_later=note("after")).compile()
reviewed = _graph(review=approve_calls).compile()
counting = _counting()
chain = _graph(one=note("one"), two=note("two"), three=note("three")).compile()
nested = _graph(inner=_looping(add).compile()).compile()
seeing = _graph(one=see, ask=approve, two=see).compile()
owner = _graph(whose=whose).compile()

number = 3
with_memory = _graph(talk=talk).compile(checkpointer=InMemorySaver())
stopping = _graph(talk=talk).compile(interrupt_before=["talk"])


class Wordless(TypedDict):
    """A state without messages."""

    text: str


wordless = StateGraph(Wordless).add_node("say", lambda _: {"text": "x"}).add_edge(START, "say")


def catalog_of(
    folder: Path, name: str, more: str = "", *, module: str = "tests.fakes.own_graphs"
) -> AgentCatalog:
    """Write the file of one of a module's graphs; return the catalogue with it."""
    text = f"name: {name}\ndescription: A graph.\ngraph: {module}:{name}\n{more}"
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_catalog("demo", folder)
