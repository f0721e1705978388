"""Describe calls and their results in a few words, for readers of a schedule."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentrun.domain.conversations import SessionLock
from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import AgentRun
from tests.fakes.faults import OPERATIONS


def port_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Name a call of a port, with the arguments that distinguish it."""
    return " ".join([name, *filter(None, map(_argument, (*args, *kwargs.values())))])


def _argument(value: object) -> str:
    if isinstance(value, AgentRun):
        return value.id
    if isinstance(value, SessionLock):
        return f"seen={value.active},{len(value.queue)}"
    status = getattr(value, "status", None)
    if status is not None:
        return str(status)
    return _events(value)


def _events(value: object) -> str:
    if isinstance(value, list | tuple) and value and isinstance(value[0], RecordedEvent):
        return f"{value[0].id}-{value[-1].id} {value[0].event.event}…{value[-1].event.event}"
    return ""


def port_result(value: object) -> str:
    """Describe what a port returned."""
    if isinstance(value, AgentRun):
        flag = " cancel!" if value.cancel_requested else ""
        return f"{value.id} {value.status} v{value.version}{flag}"
    if isinstance(value, SessionLock):
        return f"active={value.active} queue={len(value.queue)}"
    if isinstance(value, Mapping):
        return ", ".join(port_result(one) for one in value.values()) or "nothing"
    if isinstance(value, list | tuple):
        return _events(value) or f"{len(value)}"
    return "ok" if value is None else str(value)[:60]


def request(operation: str, params: Mapping[str, Any]) -> str:
    """Name a request to DynamoDB by its purpose."""
    purpose = next(
        (name for name, matches in OPERATIONS.items() if matches(operation, params)), None
    )
    return f"{operation}{_where(params)}" if purpose is None else f"{purpose}{_where(params)}"


def _where(params: Mapping[str, Any]) -> str:
    key = params.get("Key") or params.get("Item")
    if key is None:
        values = params.get("ExpressionAttributeValues", {})
        key = {"pk": values[":pk"]} if ":pk" in values else {}
    parts = [key[name]["S"].partition("#")[2] for name in ("pk",) if name in key]
    parts = [part.partition("#")[2] for part in parts]
    if "sk" in key:
        parts.append(key["sk"]["S"])
    return "".join(f" {part[:24]}" for part in parts)


def reply(status: int, body: Mapping[str, Any]) -> str:
    """Describe what DynamoDB returned."""
    if status != 200:
        return str(body.get("Error", {}).get("Code", status))
    item = body.get("Item") or body.get("Attributes")
    if item and "status" in item:
        flag = " cancel!" if "cancelRequestedAt" in item else ""
        return f"{item['status']['S']} v{item['version']['N']}{flag}"
    if "Items" in body:
        return f"{len(body['Items'])} items"
    return "ok" if "Item" not in body or item else "nothing"
