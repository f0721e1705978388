"""What calls read and write, to tell which of them commute."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ALL = "*"


@dataclass(frozen=True)
class Touches:
    """Names of what a step reads and writes; a name that ends with a star is a prefix."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def commutes_with(self, other: "Touches") -> bool:
        """Tell whether the two steps have the same effect in either order."""
        return not (
            _meet(self.writes, other.reads | other.writes) or _meet(other.writes, self.reads)
        )


def _meet(some: frozenset[str], others: frozenset[str]) -> bool:
    return any(_same(one, other) for one in some for other in others)


def _same(one: str, other: str) -> bool:
    return _covers(one, other) or _covers(other, one)


def _covers(pattern: str, name: str) -> bool:
    if pattern.endswith(ALL):
        return name.removesuffix(ALL).startswith(pattern[:-1])
    return pattern == name


def touching(reads: Iterable[str] = (), writes: Iterable[str] = ()) -> Touches:
    return Touches(frozenset(reads), frozenset(writes))


EVERYTHING = touching(writes=[ALL])
"""For steps after which anything may be different, such as the time."""
TOOL = touching(reads=[ALL])

_HEADERS, _SESSION, _LOG = "headers", "session", "log"
_CALLS = {
    "get": touching([_HEADERS]),
    "get_state": touching([_HEADERS]),
    "get_many": touching([_HEADERS]),
    "checkpoint": touching([_HEADERS]),
    "lock": touching([_SESSION]),
    "session": touching([_SESSION]),
    "run_keys": touching([_SESSION, _HEADERS]),
    "turns": touching([_SESSION, _HEADERS]),
    "read": touching([_LOG]),
    "append": touching(writes=[_LOG]),
    "heartbeat": touching(writes=[_HEADERS]),
    "keep_texts": touching(),
    "finish": touching(writes=[_HEADERS]),
    "restore_pause": touching(writes=[_HEADERS]),
    "begin_continuation": touching(writes=[_HEADERS]),
    "request_cancel": touching(writes=[_HEADERS, _SESSION]),
    "release": touching(writes=[_SESSION]),
    "expire": touching([_LOG], [_HEADERS, _SESSION]),
    "settle": touching([_LOG], [_HEADERS, _SESSION]),
}


def by_call(method: str) -> Touches:
    """Return what a call of a port touches; for an unknown call, everything."""
    return _CALLS.get(method, EVERYTHING)


def by_request(operation: str, params: Mapping[str, Any]) -> Touches:
    """Return what a request to DynamoDB touches."""
    if operation in _REQUESTS:
        return _REQUESTS[operation](params)
    return EVERYTHING


def _of_transaction(params: Mapping[str, Any]) -> Touches:
    reads: list[str] = []
    writes: list[str] = []
    for entry in params["TransactItems"]:
        for action, write in entry.items():
            key = _key(write.get("Key") or write["Item"])
            (reads if action == "ConditionCheck" else writes).append(key)
    return touching(reads, writes)


def _key(item: Mapping[str, Any]) -> str:
    return f"{item['pk']['S']}|{item['sk']['S']}"


def _of_batch(params: Mapping[str, Any]) -> Touches:
    tables = params["RequestItems"].values()
    return touching([_key(key) for table in tables for key in table["Keys"]])


def _range(params: Mapping[str, Any]) -> str:
    """Return what a query reads, or a superset."""
    values = params["ExpressionAttributeValues"]
    if "IndexName" in params or ":pk" not in values:
        return ALL
    prefixes = [value["S"] for name, value in values.items() if name != ":pk" and "S" in value]
    return f"{values[':pk']['S']}|{_shared(prefixes)}{ALL}"


def _shared(prefixes: list[str]) -> str:
    """Return the common prefix, up to the first number sign."""
    starts = {prefix.partition("#")[0] for prefix in prefixes}
    return starts.pop() if len(starts) == 1 else ""


_REQUESTS: Mapping[str, Callable[[Mapping[str, Any]], Touches]] = {
    "GetItem": lambda params: touching([_key(params["Key"])]),
    "Query": lambda params: touching([_range(params)]),
    "PutItem": lambda params: touching(writes=[_key(params["Item"])]),
    "UpdateItem": lambda params: touching(writes=[_key(params["Key"])]),
    "DeleteItem": lambda params: touching(writes=[_key(params["Key"])]),
    "BatchGetItem": _of_batch,
    "TransactWriteItems": _of_transaction,
}
