"""Checks parameters against the template's rules, as CloudFormation does."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agentrun_local.errors import TemplateError

_SHOWN_CHARACTERS = 80
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def is_list(definition: Mapping[str, Any]) -> bool:
    """Whether a parameter's value is a list, written with commas."""
    kind = str(definition["Type"])
    return kind == "CommaDelimitedList" or kind.startswith("List<")


def check_values(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> None:
    """
    Refuse values that the template does not allow.

    Args:
        declared: The template's section `Parameters`.
        given: Values by the names of parameters that are declared.

    Raises:
        TemplateError: Names each value that is refused, with the template's own
            `ConstraintDescription` if there is one.
    """
    faults = [
        _told(name, declared[name], given[name], rule)
        for name in sorted(given)
        if (rule := next(_broken_rules(declared[name], given[name]), None))
    ]
    if faults:
        raise TemplateError(" ".join(faults))


def _told(name: str, definition: Mapping[str, Any], value: str, rule: str) -> str:
    shown = value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}…"
    is_secret = str(definition.get("NoEcho", False)).lower() == "true"
    named = name if is_secret else f"{name}={shown}"
    return f"The parameter {named}: {definition.get('ConstraintDescription', rule)}."


def _broken_rules(definition: Mapping[str, Any], value: str) -> Iterator[str]:
    """Yield what a value breaks (CloudFormation user guide, "Parameters")."""
    items = [item.strip() for item in value.split(",")] if is_list(definition) else [value]
    for item in items:
        if str(definition["Type"]) in {"Number", "List<Number>"}:
            yield from _broken_by_number(definition, item)
        else:
            yield from _broken_by_text(definition, item)
        allowed = [as_text(one) for one in definition.get("AllowedValues", ())]
        if allowed and item not in allowed:
            yield f"must be one of {', '.join(allowed)}"


def _broken_by_number(definition: Mapping[str, Any], item: str) -> Iterator[str]:
    if not _NUMBER.fullmatch(item):
        yield "must be a number"
        return
    least, most = definition.get("MinValue"), definition.get("MaxValue")
    if least is not None and float(item) < float(least):
        yield f"must be at least {least}"
    if most is not None and float(item) > float(most):
        yield f"must be at most {most}"


def _broken_by_text(definition: Mapping[str, Any], item: str) -> Iterator[str]:
    least, most = definition.get("MinLength"), definition.get("MaxLength")
    if least is not None and len(item) < int(least):
        yield f"must have at least {least} characters"
    if most is not None and len(item) > int(most):
        yield f"must have at most {most} characters"
    pattern = definition.get("AllowedPattern")
    if pattern is not None and not _matches(str(pattern), item):
        yield f"must match {pattern}"


def _matches(pattern: str, item: str) -> bool:
    """Match the whole value; classes such as \\d are ASCII, as in Java's expressions."""
    try:
        return re.fullmatch(pattern, item, re.ASCII) is not None
    except re.error:
        # Java has classes that Python has not, such as \p{Lu}: leave those to CloudFormation.
        return True


def as_text(value: Any) -> str:
    """Return a value as CloudFormation writes it: a boolean in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
