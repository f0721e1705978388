"""Which questions of a LangGraph graph may get another one's answer."""

import logging
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from agentrun.domain.errors import EngineError

_log = logging.getLogger(__name__)
_REMEDY = (
    "one of them asks, so let the model make one at a time (parallel_tool_calls=False), or make"
    " each a task of its own by Send, as create_agent does"
)
_Graph = Pregel[Any, Any, Any, Any]


async def refuse_calls_in_one_task(graph: _Graph, config: RunnableConfig) -> None:
    """
    Refuse to wait if a call that asks shares its task with others, as in a `ToolNode`.

    LangGraph starts such a task again when it goes on, with all of its calls, and hands out the
    answers in the order in which they ask this time (langgraph 1.2.24 with langgraph-prebuilt
    1.1.3): the "yes" to one payment may reach another, and finished calls are made twice.

    Args:
        graph: The graph that waits.
        config: What its state, with those of its subgraphs, is found by.

    Raises:
        EngineError: A node's calls are in one task; it is named.
    """
    snapshot = await graph.aget_state(config, subgraphs=True)
    for node in _nodes_with_several_calls(graph, snapshot):
        _log.error("The graph's node '%s' has several calls in one task: %s", node, _REMEDY)
        raise EngineError(
            f"The graph's node '{node}' makes several calls at once, and one of them asks for an "
            "approval that might reach another; the service's log says what to change."
        )


def _nodes_with_several_calls(graph: _Graph, snapshot: StateSnapshot) -> Iterator[str]:
    # Imported here: it takes a while, and most runs ask nothing.
    from langgraph.prebuilt import ToolNode  # noqa: PLC0415

    subgraphs = dict(graph.get_subgraphs())
    for task in snapshot.tasks:
        if not task.interrupts:
            continue
        inner = subgraphs.get(task.name)
        if isinstance(task.state, StateSnapshot) and isinstance(inner, Pregel):
            yield from _nodes_with_several_calls(inner, task.state)
        node = graph.nodes[task.name].bound
        # A task that was made by Send has an input of its own: one call, as create_agent sends it.
        if isinstance(node, ToolNode) and task.path[0] == "__pregel_pull":
            key = vars(node).get("_messages_key", "messages")
            if len(_latest_calls(snapshot.values.get(key) or ())) > 1:
                yield task.name


def _latest_calls(messages: Any) -> list[Any]:
    said = (message for message in reversed(messages) if isinstance(message, AIMessage))
    latest = next(said, None)
    return latest.tool_calls if latest else []
