"""The filter of an event source mapping: which of its records a function gets."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentrun_local.errors import TemplateError

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


class EventFilter:
    """
    Matches records as Lambda does (developer guide, "Filter rule syntax").

    Args:
        name: The mapping's, for error messages.
        criteria: Its `FilterCriteria`; without any, every record matches.

    Raises:
        TemplateError: A pattern is not JSON, or has a rule that is not known here.
    """

    def __init__(self, name: str, criteria: Mapping[str, Any]) -> None:
        self._patterns = [_read(name, entry["Pattern"]) for entry in criteria.get("Filters", ())]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record matches one of the patterns."""
        return not self._patterns or any(_matches(one, record) for one in self._patterns)

    def matches_body(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a message matches: a pattern that asks for its body's parts wants JSON."""
        if not self._patterns:
            return True
        try:
            body = json.loads(record["body"])
        except ValueError:
            body = record["body"]
        return self.matches({**record, "body": body})


def _read(name: str, text: str) -> dict[str, Any]:
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise TemplateError(f"{name}: a filter's pattern is not JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise TemplateError(f"{name}: a filter's pattern is not an object.")
    _check(name, pattern)
    return pattern


def _check(name: str, pattern: Mapping[str, Any]) -> None:
    for key, said in pattern.items():
        if key == "$or":
            for each in said:
                _check(name, each)
        elif isinstance(said, dict):
            _check(name, said)
        elif not isinstance(said, list):
            raise TemplateError(f"{name}: in a filter, {key} needs a list of what it may be.")
        elif (
            unknown := {rule for one in said if isinstance(one, dict) for rule in one}
            - _RULES.keys()
        ):
            raise TemplateError(f"{name}: the local stack does not know {', '.join(unknown)}.")


def _matches(pattern: Mapping[str, Any], value: object) -> bool:
    if not isinstance(value, Mapping):
        # Of what is not there, only its absence can be asked for.
        value = {}
    for key, said in pattern.items():
        if key == "$or":
            fits = any(_matches(each, value) for each in said)
        elif isinstance(said, dict):
            fits = _matches(said, value.get(key))
        else:
            fits = _is_one_of(said, value.get(key, _ABSENT))
        if not fits:
            return False
    return True


_ABSENT = object()


def _is_one_of(said: Sequence[Any], value: object) -> bool:
    # Of a list in the record, one that matches is enough.
    values = value if isinstance(value, list) else [value]
    return any(_fits(rule, one) for rule in said for one in values)


def _fits(rule: object, value: object) -> bool:
    if not isinstance(rule, dict):
        return type(rule) is type(value) and rule == value
    ((name, argument),) = rule.items()
    return _RULES[name](argument, value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _is_other(argument: object, value: object) -> bool:
    others = argument if isinstance(argument, list) else [argument]
    return value is not _ABSENT and value not in others


def _in_range(argument: Sequence[Any], value: object) -> bool:
    try:
        # A number of DynamoDB's is a text.
        number = float(str(value))
    except ValueError:
        return False
    bounds = zip(argument[::2], argument[1::2], strict=True)
    return all(_COMPARISONS[sign](number, float(bound)) for sign, bound in bounds)


_RULES: dict[str, Callable[[Any, object], bool]] = {
    "anything-but": _is_other,
    "equals-ignore-case": lambda text, value: (_text(value) or "").lower() == text.lower(),
    "exists": lambda wanted, value: (value is not _ABSENT) == wanted,
    "numeric": _in_range,
    "prefix": lambda text, value: (_text(value) or "").startswith(text),
    "suffix": lambda text, value: (_text(value) or "").endswith(text),
}
