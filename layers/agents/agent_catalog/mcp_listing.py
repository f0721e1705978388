"""Which of a server's tools an agent can have, from what the server says of them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import to_json

from agent_catalog.mcp_messages import JsonObject
from agent_catalog.tool_parameters import ToolParameters
from agent_catalog.tool_schema import UnusableSchemaError

_MAX_DEFINITION_BYTES = 64 * 1024


@dataclass(frozen=True)
class ToolDescription:
    """A tool as its server describes it, in a form that every model can be given."""

    name: str
    description: str
    parameters: ToolParameters

    @classmethod
    def of(cls, name: str, tool: JsonObject) -> "ToolDescription":
        """
        Read what a server says of a tool.

        Raises:
            UnusableSchemaError: No model can be given it; the message says why.
        """
        described = cls(name, _description(tool), ToolParameters.of(tool.get("inputSchema")))
        fault = fault_of_size(described.description, described.parameters.schema)
        if fault is not None:
            raise UnusableSchemaError(fault)
        return described


class ToolListing:
    """
    The tools of the wanted names that a server has listed so far.

    `found` has those that can be used, `repeated` the names that the server has listed again: the
    first description that can be used counts.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self.found: dict[str, ToolDescription] = {}
        self.repeated: set[str] = set()
        self.end = "it is not listed"
        self._wanted = frozenset(wanted)
        self._faults: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether there is nothing more to look for."""
        return self._wanted == self.found.keys()

    def add(self, tools: Iterable[JsonValue]) -> None:
        """Read one page of the list."""
        for tool in tools:
            name = tool.get("name") if isinstance(tool, dict) else None
            if not isinstance(tool, dict) or not isinstance(name, str) or name not in self._wanted:
                continue
            if name in self.found:
                self.repeated.add(name)
                continue
            try:
                self.found[name] = ToolDescription.of(name, tool)
            except UnusableSchemaError as error:
                self._faults[name] = str(error)

    def fault(self, name: str) -> str:
        """Say why a wanted tool is not among those found."""
        return self._faults.get(name, self.end)


def fault_of_size(description: str, schema: Mapping[str, object]) -> str | None:
    """Say what is wrong with a definition that fills a prompt; None where it does not."""
    size = len(description.encode()) + len(to_json(schema))
    return "its definition is larger than 64 KB" if size > _MAX_DEFINITION_BYTES else None


def _description(tool: JsonObject) -> str:
    annotations = tool.get("annotations")
    titled = annotations.get("title") if isinstance(annotations, dict) else None
    texts = (tool.get("description"), tool.get("title"), titled)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")
