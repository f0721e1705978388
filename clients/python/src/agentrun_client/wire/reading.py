"""Read JSON into the frozen dataclasses of `models`; unknown fields do no harm."""

import json
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Read = Callable[[Any], Any]


class UnreadableError(Exception):
    """An answer is not what it should be; says where and why, without its content."""


def read_json(body: bytes) -> object:
    """
    Parse an answer's body.

    Raises:
        UnreadableError: It is not JSON, or was cut.
    """
    try:
        return cast("object", json.loads(body))
    except ValueError as error:
        what = "it is empty" if not body.strip() else "it is not JSON, or was cut"
        raise UnreadableError(what) from error


def read_object(body: bytes) -> dict[str, Any]:
    """
    Parse an answer's body that has to be an object.

    Raises:
        UnreadableError: It is none.
    """
    told = read_json(body)
    if not isinstance(told, dict):
        raise UnreadableError(f"it is {type(told).__name__}, not an object")
    return cast("dict[str, Any]", told)


def read_array(kind: type[T], told: object) -> list[T]:
    """
    Read an array of objects into dataclasses.

    Raises:
        UnreadableError: It is none, or one of them is not what it should be.
    """
    if not isinstance(told, list):
        raise UnreadableError(f"it is {type(told).__name__}, not an array")
    return [read_as(kind, each) for each in cast("list[object]", told)]


def read_as(kind: type[T], value: object) -> T:
    """
    Read an object into a dataclass: `camelCase` names, absent fields by their defaults.

    A text that a `Literal` does not have is kept as it is: an older client must not break on a
    status that it does not know.

    Raises:
        UnreadableError: A field is missing, or of another type.
    """
    return cast("T", _reader_of(cast("Any", kind))(value))


@cache
def _reader_of(kind: Any) -> _Read:  # noqa: PLR0911 - one for each kind of type
    if kind is datetime:
        return _instant
    if kind in {str, int, float, bool}:
        return _plain(kind)
    if is_dataclass(kind):
        return _object_reader(cast("type", kind))
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _plain(type(arguments[0]))
    if origin is tuple:
        return _tuple_of(_reader_of(arguments[0]))
    if origin in {Union, types.UnionType} and type(None) in arguments and len(arguments) == 2:
        return _reader_of(next(each for each in arguments if each is not type(None)))
    # Any JSON.
    return lambda value: value


def _plain(kind: Any) -> _Read:
    def read(value: object) -> object:
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise UnreadableError(f"is {type(value).__name__}, not {kind.__name__}")
        return value

    return read


def _instant(value: object) -> datetime:
    try:
        return datetime.fromisoformat(cast("str", value))
    except (TypeError, ValueError) as error:
        raise UnreadableError("is not an instant") from error


def _tuple_of(read_item: _Read) -> _Read:
    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise UnreadableError(f"is {type(value).__name__}, not an array")
        return tuple(read_item(item) for item in cast("list[object]", value))

    return read


def _object_reader(kind: Any) -> _Read:
    hints = get_type_hints(kind)
    known = [
        (field.name, wire_name(field.name), _reader_of(hints[field.name]), field.default is MISSING)
        for field in fields(kind)
    ]

    def read(value: object) -> Any:
        if not isinstance(value, dict):
            raise UnreadableError(f"is {type(value).__name__}, not an object")
        found = cast("dict[str, object]", value)
        values: dict[str, object] = {}
        for name, on_wire, read_field, is_required in known:
            given = found.get(on_wire)
            if given is None and not is_required:
                continue
            if on_wire not in found:
                raise UnreadableError(f"has no `{on_wire}`")
            try:
                values[name] = read_field(given)
            except UnreadableError as error:
                raise UnreadableError(f"`{on_wire}` {error}") from error
        return kind(**values)

    return read


def wire_name(name: str) -> str:
    """Return a field's name in `camelCase`."""
    first, *more = name.split("_")
    return first + "".join(part.capitalize() for part in more)
