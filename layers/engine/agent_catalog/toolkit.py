"""
All that a tool may import of the framework; docs/agents.md says how to write one.

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
    The tool cannot do what it was asked; the message is shown to the model and to the caller.

    Any other exception of a tool is logged, and both see only that the tool has failed.
    """


class ToolResults:
    """
    What the tools have returned in a conversation; calls that failed or were rejected are not in.

    `load` gives the earlier turns' results as pairs of name and result, the oldest first. It is
    called when a tool first asks: most never do.
    """

    def __init__(self, load: Callable[[], Iterable[tuple[str, JsonValue]]] = tuple) -> None:
        self._load = load
        self._earlier: tuple[tuple[str, JsonValue], ...] | None = None
        self._latest: list[tuple[str, JsonValue]] = []

    def of(self, tool: str) -> tuple[JsonValue, ...]:
        """Return one tool's results as JSON, the oldest first, those of this turn included."""
        if self._earlier is None:
            self._earlier = tuple(self._load())
        return tuple(result for name, result in (*self._earlier, *self._latest) if name == tool)

    def add(self, tool: str, result: JsonValue) -> None:
        """Note a result of this turn."""
        self._latest.append((tool, result))


@dataclass(frozen=True)
class Session:
    """
    Whose conversation it is; a tool that names it as its first parameter is given it.

    `before_tool` is called before a tool begins, and raises `MayNotActError` where none may.
    """

    tenant: str
    user_id: str
    session_id: str
    results: ToolResults = field(default_factory=ToolResults, compare=False)
    before_tool: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
