"""Whether arguments fit a tool."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_ai import Tool

from agent_catalog.session import Session


def argument_faults(
    tool: Tool[Session], arguments: Mapping[str, JsonValue]
) -> Sequence[tuple[str, str]]:
    """Give the arguments that do not fit a tool's parameters, each with the reason."""
    try:
        tool.function_schema.validator.validate_python(dict(arguments))
    except ValidationError as error:
        return [
            (".".join(map(str, fault["loc"])) or "arguments", _reason(fault))
            for fault in error.errors(include_url=False)
        ]
    return []


def _reason(fault: Mapping[str, Any]) -> str:
    return str(fault["msg"]).rstrip(".")
