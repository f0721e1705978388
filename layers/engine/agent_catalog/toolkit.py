"""
Everything that a tool may import from the framework; docs/agents.md explains how to write one.

The rest of `agent_catalog` and `agentrun` may change with any version.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydantic import JsonValue

from agent_catalog.passages import Passage, PassageIndex, split_passages
from agent_catalog.secret_variables import async_variable, variable

__all__ = [
    "Passage",
    "PassageIndex",
    "Session",
    "ToolInputError",
    "ToolResults",
    "async_variable",
    "split_passages",
    "variable",
]


class ToolInputError(ValueError):
    """
    The tool cannot do what it was asked; the model and the caller see the message.

    Any other exception is logged, and they see only that the tool has failed.
    """


class ToolResults:
    """
    What the tools of a conversation have returned, without calls that failed or were rejected.

    `load` returns the earlier turns' results as pairs of name and result, oldest first. It is
    called when a tool first asks, since most never do.
    """

    def __init__(self, load: Callable[[], Iterable[tuple[str, JsonValue]]] = tuple) -> None:
        self._load = load
        self._earlier: tuple[tuple[str, JsonValue], ...] | None = None
        self._latest: list[tuple[str, JsonValue]] = []

    def of(self, tool: str) -> tuple[JsonValue, ...]:
        """Return one tool's results as JSON, oldest first, including those of this turn."""
        if self._earlier is None:
            self._earlier = tuple(self._load())
        return tuple(result for name, result in (*self._earlier, *self._latest) if name == tool)

    def add(self, tool: str, result: JsonValue) -> None:
        """Add a result of this turn."""
        self._latest.append((tool, result))


@dataclass(frozen=True)
class Session:
    """
    Whose conversation it is; passed to a tool whose first parameter has this type.

    `call_id` is unique among the calls of all runs, and the same whenever a call runs again: hand
    it on as an idempotency key. It ends with the id that TOOL_START says. `before_tool` is called
    before a tool begins, and raises `MayNotActError` if it may not.
    """

    tenant: str
    user_id: str
    session_id: str
    results: ToolResults = field(default_factory=ToolResults, compare=False)
    before_tool: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
    run_id: str = ""
    call_id: str = ""
