"""What is wrong with an agent's file, in the words of who writes one."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from agent_catalog.agent_file import AgentFile, History, Limits
from agent_catalog.agent_spec import ModelSettings
from agent_catalog.agent_yaml import YamlFile
from agent_catalog.mcp_entry import McpServer

# By the path to them, positions left out.
_FIELDS = {
    (): tuple(AgentFile.model_fields),
    ("model_settings",): tuple(ModelSettings.__annotations__),
    ("limits",): tuple(Limits.model_fields),
    ("history",): tuple(History.model_fields),
    ("mcp",): tuple(McpServer.model_fields),
}


class FileFaultError(Exception):
    """Something in a file is wrong; `location` are the keys and positions that lead to it."""

    def __init__(self, location: Sequence[int | str], message: str) -> None:
        super().__init__(message)
        self.location = location

    def told(self, name: str, source: YamlFile) -> str:
        """Say what is wrong and where: the file, the line, the field."""
        field = ".".join(str(step) for step in self.location) or "the file"
        return f"{name}:{source.line(self.location)}: {field}: {self}"


def invalid_fields(error: ValidationError) -> Iterator[FileFaultError]:
    """Return all that pydantic has found in a file."""
    for found in error.errors():
        location = found["loc"]
        match found["type"]:
            case "extra_forbidden":
                yield FileFaultError(location, _unknown(location))
            case "missing":
                yield FileFaultError(location, "is missing")
            case _:
                yield FileFaultError(location, _said(found["msg"]))


def _said(message: str) -> str:
    ours = message.removeprefix("Value error, ")
    return ours if ours != message else f"{message[:1].lower()}{message[1:]}"


def _unknown(location: Sequence[int | str]) -> str:
    # Imported here: few files have one, and every cold start imports this module.
    from difflib import get_close_matches  # noqa: PLC0415

    *path, key = location
    fields = _FIELDS.get(tuple(step for step in path if isinstance(step, str)), ())
    close = get_close_matches(str(key), fields, n=1)
    return (
        f"there is no such field; did you mean {close[0]}?" if close else "there is no such field"
    )
