"""What is wrong with an agent's file, in words for its author."""

from collections.abc import Sequence

from pydantic import ValidationError

from agent_catalog.agent_file import AgentFile, History, Limits
from agent_catalog.agent_spec import ModelSettings
from agent_catalog.agent_yaml import YamlFile
from agent_catalog.foreign.endpoint import Endpoint
from agent_catalog.mcp.entry import McpServer

# By the path to them, without positions.
_FIELDS = {
    (): tuple(AgentFile.model_fields),
    ("model_settings",): tuple(ModelSettings.__annotations__),
    ("limits",): tuple(Limits.model_fields),
    ("history",): tuple(History.model_fields),
    ("mcp",): tuple(McpServer.model_fields),
    ("endpoint",): tuple(Endpoint.model_fields),
}


class FileFaultError(Exception):
    """Something in a file is wrong; `location` is the path of keys and positions to it."""

    def __init__(self, location: Sequence[int | str], message: str) -> None:
        super().__init__(message)
        self.location = location

    def told(self, name: str, source: YamlFile) -> str:
        """Return the message with the file, the line and the field."""
        _, line = source.find(self.location)
        field = ".".join(str(step) for step in self.location) or "the file"
        return f"{name}:{line}: {field}: {self}"


def invalid_fields(error: ValidationError, source: YamlFile) -> list[FileFaultError]:
    """Return all faults that pydantic has found, in the order of the lines."""
    said: dict[tuple[int | str, ...], list[str]] = {}
    for found in error.errors():
        # For a field of several types, pydantic names each type as if it were a key.
        location, _ = source.find(found["loc"])
        match found["type"]:
            case "extra_forbidden":
                said.setdefault(location, []).append(_unknown(location))
            case "missing":
                said.setdefault((*location, found["loc"][-1]), []).append("is missing")
            case "model_type" | "dict_type":
                said.setdefault(location, []).append("must be a mapping")
            case _:
                said.setdefault(location, []).append(_said(found["msg"]))
    faults = [FileFaultError(where, ", or ".join(words)) for where, words in said.items()]
    return sorted(faults, key=lambda fault: source.find(fault.location)[1])


def _said(message: str) -> str:
    ours = message.removeprefix("Value error, ")
    return ours if ours != message else f"{message[:1].lower()}{message[1:]}"


def _unknown(location: Sequence[int | str]) -> str:
    # Imported here: every cold start imports this module, and few files have unknown fields.
    from difflib import get_close_matches  # noqa: PLC0415

    *path, key = location
    fields = _FIELDS.get(tuple(step for step in path if isinstance(step, str)), ())
    close = get_close_matches(str(key), fields, n=1)
    return (
        f"there is no such field; did you mean {close[0]}?" if close else "there is no such field"
    )
