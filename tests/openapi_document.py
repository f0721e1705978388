"""The OpenAPI document as tests use it: strict about fields, and looking into strings of JSON."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema_rs

from agentrun.http.openapi.document import openapi_document

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def closed_document() -> Json:
    """Return the document without room for fields that it does not name."""
    document = deepcopy(openapi_document())
    for name, schema in document["components"]["schemas"].items():
        # Readers of streams add what they know by themselves: the event's type, for one.
        if "properties" in schema and name != "ServerSentEvent":
            schema["additionalProperties"] = False
    return document


DOCUMENT = closed_document()


def operations() -> Iterator[tuple[str, str, Json]]:
    """Yield path, method and operation of each."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def resolved(node: Json) -> Json:
    """Follow a reference."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def misfits(schema: Json, value: object) -> list[str]:
    """Tell what of a value is against a schema, in the JSON inside of its strings too."""
    found = [error.message for error in _validator(json.dumps(schema)).iter_errors(value)]
    return found + [
        text for inner, raw in _json_texts(schema, value) for text in _inside(inner, raw)
    ]


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    root = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(root)


def _inside(schema: Json, raw: str) -> list[str]:
    try:
        return misfits(schema, json.loads(raw))
    except ValueError as error:
        return [f"no JSON: {error}"]


def _json_texts(schema: Json, value: object) -> Iterator[tuple[Json, str]]:
    """Yield each string of an object that holds JSON, with the schema of that."""
    schema = resolved(schema)
    if not isinstance(value, dict):
        return
    if "discriminator" in schema:
        chosen = schema["discriminator"]["mapping"].get(value.get("event"))
        schema = resolved({"$ref": chosen}) if chosen else {}
    for name, field in schema.get("properties", {}).items():
        if "contentSchema" in field and isinstance(value.get(name), str):
            yield field["contentSchema"], value[name]
