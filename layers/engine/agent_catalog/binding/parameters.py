"""
A tool's parameters in a form that every provider accepts, and the way back to its server's form.

Anthropic's models, also on Bedrock, refuse a request with a tool whose schema has a combinator at
the top, or a property name with more than 64 characters or others than `[a-zA-Z0-9_.-]`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from pydantic import JsonValue
from pydantic_core import from_json

from agent_catalog.binding.schema import (
    Schema,
    map_schemas,
    pointer_of,
    pointer_tokens,
    read_schema,
    resolve,
)
from agent_catalog.tool_names import is_property_name, plain_property_name, with_hash

# Anthropic refuses the first three, OpenAI also `not` and `enum`. Beside the last two there may be
# no type, and Bedrock requires the type `object`.
_NOT_AT_THE_TOP = ("anyOf", "oneOf", "allOf", "not", "enum", "const", "$ref")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf", "prefixItems")
_CONDITIONS = ("if", "then", "else")
_WRAPPER = "arguments"


@dataclass(frozen=True)
class ToolParameters:
    """
    A tool's parameters, as the model sees them in `schema`.

    `_renamed` maps the server's names of properties to the model's; `_wrapper` is the property that
    contains a schema which is not allowed at the top.
    """

    schema: Schema
    _own: Schema
    _renamed: Mapping[str, str] = field(default_factory=dict)
    _wrapper: str | None = None

    @classmethod
    def of(cls, given: JsonValue) -> Self:
        """
        Read the schema of a tool's arguments, whatever its server has sent.

        Raises:
            UnusableSchemaError: No model can use it; the message says why.
        """
        own = read_schema(given)
        names = _names(own)
        renamed: dict[str, str] = {}
        for name in names:
            if not is_property_name(name):
                renamed[name] = plain_property_name(name, {*names, *renamed.values()})
        shown = map_schemas(own, lambda part: _rename(part, renamed)) if renamed else own
        if not any(keyword in shown for keyword in _NOT_AT_THE_TOP):
            return cls(shown, own, renamed)
        wrapper = _WRAPPER if _WRAPPER not in names else with_hash(_WRAPPER, "")
        return cls(_wrapped(shown, wrapper), own, renamed, wrapper)

    def arguments(self, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return a model's arguments in the form that the tool's server expects."""
        unwrapped = self._unwrapped(dict(given))
        if not self._renamed:
            return unwrapped
        restored = self._restored(unwrapped, [self._own])
        return restored if isinstance(restored, dict) else unwrapped

    def _unwrapped(self, given: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if self._wrapper not in given:
            # A model may leave out the wrapper and still mean the right thing.
            return given
        rest = {name: value for name, value in given.items() if name != self._wrapper}
        inner = given[self._wrapper]
        if isinstance(inner, str):
            # Models sometimes write nested objects as text.
            try:
                inner = from_json(inner)
            except ValueError:
                return given
        return rest | inner if isinstance(inner, dict) else given

    def _restored(self, value: JsonValue, schemas: Sequence[Schema]) -> JsonValue:
        views = list(self._views(schemas))
        if isinstance(value, list):
            return [
                self._restored(item, list(_item_schemas(views, place)))
                for place, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        own = {
            self._renamed[name]: name
            for view in views
            for name in _object(view, "properties")
            if name in self._renamed
        }
        return {
            own.get(name, name): self._restored(
                part, list(_property_schemas(views, own.get(name, name)))
            )
            for name, part in value.items()
        }

    def _views(self, schemas: Sequence[Schema]) -> Iterator[Schema]:
        """Yield all schemas that describe the same value as these."""
        waiting, seen = [*schemas], set[int]()
        while waiting:
            schema = waiting.pop()
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            yield schema
            target = resolve(schema.get("$ref"), self._own)
            waiting += [target] if target is not None else []
            for keyword in _ALTERNATIVES[:3]:
                waiting += _listed(schema, keyword)
            waiting += [part for key in _CONDITIONS if (part := _object(schema, key))]
            waiting += _schemas_in(_object(schema, "dependentSchemas").values())


def _names(schema: Schema) -> dict[str, None]:
    """Return the names of properties at all depths, in the schema's order."""
    names: dict[str, None] = {}

    def collect(part: Schema) -> Schema:
        for keyword in ("properties", "dependentSchemas", "dependentRequired"):
            names.update(dict.fromkeys(_object(part, keyword)))
        for required in (part.get("required"), *_object(part, "dependentRequired").values()):
            names.update(dict.fromkeys(map(str, required if isinstance(required, list) else ())))
        return part

    map_schemas(schema, collect)
    return names


def _rename(schema: Schema, renamed: Mapping[str, str]) -> Schema:
    changed = dict(schema)
    for keyword in ("properties", "dependentSchemas", "dependentRequired"):
        if keyword in changed:
            parts = _object(changed, keyword)
            changed[keyword] = {renamed.get(name, name): parts[name] for name in parts}
    for name, part in _object(schema, "properties").items():
        if name in renamed and isinstance(part, dict):
            said = part.get("description")
            note = f"The tool's own name for it is {name}."
            described = {**part, "description": f"{said} {note}" if said else note}
            _object(changed, "properties")[renamed[name]] = described
            # It describes the original names.
            changed.pop("propertyNames", None)
    changed |= _rename_required(changed, renamed)
    if isinstance(reference := changed.get("$ref"), str):
        tokens = pointer_tokens(reference)
        for place, (above, token) in enumerate(pairwise(tokens), 1):
            if above in {"properties", "dependentSchemas"}:
                tokens[place] = renamed.get(token, token)
        changed["$ref"] = pointer_of(tokens)
    return changed


def _rename_required(schema: Schema, renamed: Mapping[str, str]) -> Schema:
    def shown(names: JsonValue) -> JsonValue:
        return [renamed.get(str(name), name) for name in (names if isinstance(names, list) else ())]

    changed: Schema = {}
    if "required" in schema:
        changed["required"] = shown(schema["required"])
    if "dependentRequired" in schema:
        by_name = _object(schema, "dependentRequired")
        changed["dependentRequired"] = {name: shown(names) for name, names in by_name.items()}
    return changed


def _wrapped(schema: Schema, wrapper: str) -> Schema:
    """Wrap a schema in the only property of another; definitions stay at the top."""
    definitions = schema.get("$defs")
    inner = {keyword: value for keyword, value in schema.items() if keyword != "$defs"}
    if not inner["properties"]:
        del inner["properties"]

    def moved(part: Schema) -> Schema:
        reference = part.get("$ref")
        if not isinstance(reference, str) or reference.startswith("#/$defs/"):
            return part
        return {**part, "$ref": pointer_of(["properties", wrapper, *pointer_tokens(reference)])}

    outer: Schema = {
        "type": "object",
        "properties": {wrapper: inner},
        "required": [wrapper],
        **({} if definitions is None else {"$defs": definitions}),
    }
    return map_schemas(outer, moved)


def _item_schemas(views: Sequence[Schema], place: int) -> Iterator[Schema]:
    for view in views:
        first = _listed(view, "prefixItems")
        if place < len(first):
            yield first[place]
        else:
            yield from _schemas_in([view.get("items"), view.get("unevaluatedItems")])
        yield from _schemas_in([view.get("contains")])


def _property_schemas(views: Sequence[Schema], name: str) -> Iterator[Schema]:
    for view in views:
        properties = _object(view, "properties")
        if name in properties:
            yield from _schemas_in([properties[name]])
        else:
            yield from _schemas_in(_object(view, "patternProperties").values())
            others = (view.get("additionalProperties"), view.get("unevaluatedProperties"))
            yield from _schemas_in(others)


def _object(schema: Schema, keyword: str) -> Schema:
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}


def _listed(schema: Schema, keyword: str) -> list[Schema]:
    value = schema.get(keyword)
    return [*_schemas_in(value)] if isinstance(value, list) else []


def _schemas_in(values: object) -> Iterator[Schema]:
    parts: Sequence[object] = [*values] if hasattr(values, "__iter__") else []
    return (part for part in parts if isinstance(part, dict))
