"""What the client's typed values are as JSON: the API's own names, what is not known left out."""

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from agentrun_cli.terminal.documents import camel_case
from agentrun_client import RunEvent


def as_wire(value: Any) -> Any:
    """Return what `json` can write: `camelCase`, times as the API writes them."""
    if is_dataclass(value):
        named = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            camel_case(field.name): as_wire(part) for field, part in named if _is_said(field, part)
        }
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, Mapping):
        # A tool's own JSON: names and nulls are its own.
        return {name: as_wire(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_wire(part) for part in value]
    return value


def _is_said(field: "Field[Any]", value: object) -> bool:
    """Tell whether the API says a value: not what is unknown, nor marks that are not set."""
    return value is not None and not (value is False and field.default is False)


def event_as_wire(event: RunEvent) -> dict[str, Any]:
    """Return an event with its name, its fields side by side rather than as JSON in a text."""
    said: dict[str, Any] = as_wire(event)
    return {"id": said.pop("id"), "event": event.event, **said}
