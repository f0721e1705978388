"""
The JSON Schema of a tool's arguments, made into one that every provider accepts.

Anthropic's models accept only valid JSON Schema 2020-12, and refuse a whole request for one invalid
schema. What cannot be read is left out, so that a schema only gets wider: the tool's server checks
the arguments itself.
"""

from collections.abc import Callable, Iterator
from urllib.parse import unquote

from pydantic import JsonValue

Schema = dict[str, JsonValue]
_Reader = Callable[[JsonValue, int], JsonValue]

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
# More than any tool needs, and far below the recursion limits of libraries on the way.
_MAX_DEPTH = 24
# These name the draft or a base for references; only references within the schema are kept.
_DROPPED = frozenset(
    {"$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"}
    | {"$recursiveAnchor", "$vocabulary", "additionalItems"}
)
_ONE_SCHEMA = (
    *("items", "contains", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    *("propertyNames", "not", "if", "then", "else", "contentSchema"),
)
_LISTS_OF_SCHEMAS = ("prefixItems", "allOf", "anyOf", "oneOf")
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")


class UnusableSchemaError(ValueError):
    """No arguments can fit the schema, or it cannot be read; the message says why."""


def read_schema(given: JsonValue) -> Schema:
    """
    Return a valid JSON Schema 2020-12 of an object that accepts all that the given one accepts.

    Args:
        given: What a server has sent; None or an empty list means no parameters.

    Raises:
        UnusableSchemaError: The schema is not one of an object.
    """
    if given is None or given == []:
        given = {}
    if not isinstance(given, dict):
        raise UnusableSchemaError("its schema is no object")
    schema = _subschema(given, 0)
    types = schema.pop("type", "object")
    if "object" not in (types if isinstance(types, list) else [types]):
        raise UnusableSchemaError("its arguments are no object")
    # OpenAI requires `properties`.
    schema = {"type": "object", "properties": {}, **schema}
    return map_schemas(schema, lambda part: _without_lost_reference(part, schema))


def map_schemas(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Change a schema from `read_schema` in all its parts, the innermost first."""
    changed: Schema = {}
    for keyword, value in schema.items():
        if keyword in _ONE_SCHEMA and isinstance(value, dict):
            changed[keyword] = map_schemas(value, change)
        elif keyword in _LISTS_OF_SCHEMAS and isinstance(value, list):
            changed[keyword] = [map_schemas(part, change) for part in _schemas(value)]
        elif keyword in _MAPS_OF_SCHEMAS and isinstance(value, dict):
            changed[keyword] = {
                name: map_schemas(part, change)
                for name, part in value.items()
                if isinstance(part, dict)
            }
        else:
            changed[keyword] = value
    return change(changed)


def pointer_tokens(reference: str) -> list[str]:
    """Split a reference into its own schema, `#/a/b`, into its steps (RFC 6901)."""
    return [
        unquote(token).replace("~1", "/").replace("~0", "~") for token in reference.split("/")[1:]
    ]


def pointer_of(tokens: list[str]) -> str:
    """Join steps to a reference."""
    return "/".join(["#", *(token.replace("~", "~0").replace("/", "~1") for token in tokens)])


def resolve(reference: JsonValue, root: Schema) -> Schema | None:
    """Return the part of a schema that a reference leads to; None if that is not a schema."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    tokens = iter(pointer_tokens(reference))
    found = root
    for keyword in tokens:
        value = found.get(keyword)
        if keyword in _LISTS_OF_SCHEMAS and isinstance(value, list):
            place = next(tokens, "")
            value = value[int(place)] if place in map(str, range(len(value))) else None
        elif keyword in _MAPS_OF_SCHEMAS and isinstance(value, dict):
            value = value.get(next(tokens, ""))
        elif keyword not in _ONE_SCHEMA:
            return None
        if not isinstance(value, dict):
            return None
        found = value
    return found


def _subschema(given: JsonValue, depth: int) -> Schema:
    if isinstance(given, str) and given in _TYPES:
        return {"type": given}
    if given is False:
        return {"not": {}}
    if not isinstance(given, dict) or depth > _MAX_DEPTH:
        return {}
    read: Schema = {}
    for keyword, value in _as_of_2020(given).items():
        if keyword in _DROPPED:
            continue
        kept = _READERS.get(keyword, _anything)(value, depth + 1)
        # None stands for an invalid value, except where null is valid.
        if kept is not None or keyword in {"const", "default"}:
            read[keyword] = kept
    return read


def _as_of_2020(schema: Schema) -> Schema:
    # Until draft 2019-09 `items` could be a list, and `dependencies` was one keyword for two.
    modern = dict(schema)
    if isinstance(schema.get("items"), list):
        modern["prefixItems"] = modern.pop("items")
        if "additionalItems" in schema:
            modern["items"] = schema["additionalItems"]
    dependencies = modern.pop("dependencies", None)
    if isinstance(dependencies, dict):
        by_kind = {"dependentRequired": list, "dependentSchemas": dict}
        for keyword, kind in by_kind.items():
            found = {name: part for name, part in dependencies.items() if isinstance(part, kind)}
            if found:
                modern.setdefault(keyword, found)
    return modern


def _without_lost_reference(schema: Schema, root: Schema) -> Schema:
    if "$ref" in schema and resolve(schema["$ref"], root) is None:
        return {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
    return schema


def _schemas(values: list[JsonValue]) -> Iterator[Schema]:
    return (value for value in values if isinstance(value, dict))


def _anything(value: JsonValue, depth: int) -> JsonValue:
    if depth > _MAX_DEPTH:
        return None
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    fits = all(part is None or _anything(part, depth + 1) is not None for part in inner)
    return value if fits else None


def _schema_or_flag(value: JsonValue, depth: int) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    return _subschema(value, depth)


def _one(value: JsonValue, depth: int) -> JsonValue:
    return None if value is None else _subschema(value, depth)


def _listed(value: JsonValue, depth: int) -> JsonValue:
    if not isinstance(value, list) or not value:
        return None
    return [_subschema(part, depth) for part in value]


def _mapped(value: JsonValue, depth: int) -> JsonValue:
    # PHP writes an empty map as an empty list.
    if value == []:
        return {}
    if not isinstance(value, dict):
        return None
    return {name: _subschema(part, depth) for name, part in value.items()}


def _type(value: JsonValue, _: int) -> JsonValue:
    # YAML reads `[string, null]` with None as its second item.
    names = (
        ["null" if name is None else name for name in value] if isinstance(value, list) else [value]
    )
    known = {name.lower(): None for name in names if isinstance(name, str)}
    if (
        not known
        or not all(isinstance(name, str) for name in names)
        or not _TYPES.issuperset(known)
    ):
        return None
    return next(iter(known)) if len(known) == 1 else [*known]


def _names(value: JsonValue, _: int) -> JsonValue:
    if not isinstance(value, list):
        return None
    return [*dict.fromkeys(name for name in value if isinstance(name, str))]


def _names_by_name(value: JsonValue, depth: int) -> JsonValue:
    if not isinstance(value, dict):
        return None
    return {name: names for name in value if (names := _names(value[name], depth)) is not None}


def _text(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, str) else None


def _flag(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, bool) else None


def _many(value: JsonValue, depth: int) -> JsonValue:
    return _anything(value, depth) if isinstance(value, list) else None


def _number(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _above_zero(value: JsonValue, depth: int) -> JsonValue:
    number = _number(value, depth)
    return number if isinstance(number, int | float) and number > 0 else None


def _count(value: JsonValue, depth: int) -> JsonValue:
    number = _number(value, depth)
    fits = isinstance(number, int | float) and number >= 0 and number % 1 == 0
    return number if fits else None


_READERS: dict[str, _Reader] = {
    **dict.fromkeys(_ONE_SCHEMA, _one),
    **dict.fromkeys(_LISTS_OF_SCHEMAS, _listed),
    **dict.fromkeys(_MAPS_OF_SCHEMAS, _mapped),
    **dict.fromkeys(
        ("additionalProperties", "unevaluatedItems", "unevaluatedProperties"), _schema_or_flag
    ),
    **dict.fromkeys(
        (
            *("$ref", "$comment", "title", "description", "pattern", "format"),
            *("contentEncoding", "contentMediaType"),
        ),
        _text,
    ),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _flag),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(
        (
            *("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"),
            *("minProperties", "maxProperties"),
        ),
        _count,
    ),
    **dict.fromkeys(("enum", "examples"), _many),
    "type": _type,
    "required": _names,
    "dependentRequired": _names_by_name,
    "multipleOf": _above_zero,
}
