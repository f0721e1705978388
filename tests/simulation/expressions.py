"""
Evaluate DynamoDB's expressions as far as the adapters use them.

Grammar: "Condition and filter expressions" and "Update expressions" in the DynamoDB developer
guide. What is not known here is an error, not a guess.
"""

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

Item = dict[str, Any]
Values = Mapping[str, Any]
Test = Callable[[Item, Values], bool]
Operand = Callable[[Item, Values], Any]

_TOKEN = re.compile(r"\s*(:\w+|#\w+|\w+(?:\[\d+\])?|<>|<=|>=|[=<>(),+-])")


class SyntaxOfExpressionError(Exception):
    """An expression that this parser does not know."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s", "", text):
            raise SyntaxOfExpressionError(text)
        self.at = 0
        self.text = text

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.next
        if wanted and token.upper() not in wanted:
            raise SyntaxOfExpressionError(f"{token!r} in {self.text!r}, not {wanted}")
        self.at += 1
        return token

    def takes(self, wanted: str) -> bool:
        if self.next.upper() != wanted:
            return False
        self.at += 1
        return True

    # Conditions.

    def condition(self) -> Test:
        test = self._all_of()
        while self.takes("OR"):
            test = _either(test, self._all_of())
        return test

    def _all_of(self) -> Test:
        test = self._one()
        while self.takes("AND"):
            test = _both(test, self._one())
        return test

    def _one(self) -> Test:
        if self.takes("NOT"):
            inner = self._one()
            return lambda item, values: not inner(item, values)
        if self.takes("("):
            inner = self.condition()
            self.take(")")
            return inner
        if self.next.lower() in _TESTS and self.next.lower() != "size":
            test = _TESTS[self.take().lower()]
            arguments = self._arguments()
            return lambda item, values: test(*(argument(item, values) for argument in arguments))
        return self._comparison()

    def _arguments(self) -> list[Operand]:
        self.take("(")
        arguments = [self.operand()]
        while self.takes(","):
            arguments.append(self.operand())
        self.take(")")
        return arguments

    def _comparison(self) -> Test:
        left = self.operand()
        if self.takes("BETWEEN"):
            low = self.operand()
            self.take("AND")
            high = self.operand()
            return lambda item, values: (
                _compare("<=", low(item, values), left(item, values))
                and _compare("<=", left(item, values), high(item, values))
            )
        if self.takes("IN"):
            wanted = self._arguments()
            return lambda item, values: any(
                _compare("=", left(item, values), one(item, values)) for one in wanted
            )
        sign = self.take("=", "<>", "<", "<=", ">", ">=")
        right = self.operand()
        return lambda item, values: _compare(sign, left(item, values), right(item, values))

    # Operands.

    def operand(self) -> Operand:
        token = self.take()
        if token.startswith(":"):
            return lambda _, values: values[token]
        if self.next == "(" and token in _FUNCTIONS:
            function, arguments = _FUNCTIONS[token], self._arguments()
            return lambda item, values: function(
                *(argument(item, values) for argument in arguments)
            )
        return lambda item, _: _at(item, token)

    def value(self) -> Operand:
        """Read what SET sets: an operand, or a sum of two."""
        left = self.operand()
        for sign, factor in (("+", 1), ("-", -1)):
            if self.takes(sign):
                return _sum(left, self.operand(), factor)
        return left


def _at(item: Item, path: str) -> Any:
    """Return an attribute, or an element of a list attribute."""
    name, _, index = path.rstrip("]").partition("[")
    value = item.get(name)
    if not index or value is None:
        return value
    return value["L"][int(index)] if int(index) < len(value["L"]) else None


def _without(item: Item, path: str) -> Item:
    name, _, index = path.rstrip("]").partition("[")
    rest = {other: value for other, value in item.items() if other != name}
    if not index or name not in item:
        return rest
    elements = [element for at, element in enumerate(item[name]["L"]) if at != int(index)]
    return {**rest, name: {"L": elements}}


def _sum(left: Operand, right: Operand, factor: int) -> Operand:
    def add(item: Item, values: Values) -> Any:
        total = Decimal(left(item, values)["N"]) + factor * Decimal(right(item, values)["N"])
        return {"N": str(total)}

    return add


def _either(left: Test, right: Test) -> Test:
    return lambda item, values: left(item, values) or right(item, values)


def _both(left: Test, right: Test) -> Test:
    return lambda item, values: left(item, values) and right(item, values)


def _plain(value: Any) -> Any:
    kind, content = next(iter(value.items()))
    return Decimal(content) if kind == "N" else content


def _compare(sign: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return sign == "<>" and left is not right
    if set(left) != set(right):
        return sign == "<>"
    return bool(_SIGNS[sign](_plain(left), _plain(right)))


_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _size(value: Any) -> Any:
    return None if value is None else {"N": str(len(_plain(value)))}


def _contains(value: Any, part: Any) -> bool:
    return value is not None and _plain(part) in _plain(value)


_TESTS: dict[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "begins_with": lambda value, start: (
        value is not None and str(_plain(value)).startswith(_plain(start))
    ),
    "contains": _contains,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "if_not_exists": lambda value, other: other if value is None else value,
    "list_append": lambda first, second: {"L": [*first["L"], *second["L"]]},
}


@cache
def _condition(text: str) -> Test:
    reader = _Reader(text)
    test = reader.condition()
    if reader.next:
        raise SyntaxOfExpressionError(text)
    return test


@cache
def _update(text: str) -> tuple[tuple[str, str, Operand | None], ...]:
    reader = _Reader(text)
    actions: list[tuple[str, str, Operand | None]] = []
    while reader.next:
        clause = reader.take("SET", "REMOVE", "ADD", "DELETE").upper()
        while True:
            path, value = reader.take(), None
            if clause == "SET":
                reader.take("=")
                value = reader.value()
            elif clause != "REMOVE":
                value = reader.operand()
            actions.append((clause, path, value))
            if not reader.takes(","):
                break
    return tuple(actions)


def _named(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"#\w+", lambda match: names[match[0]], text)


def holds(text: str, item: Item, names: Mapping[str, str], values: Values) -> bool:
    """Tell whether a condition holds for an item; a missing item is an empty one."""
    return _condition(_named(text, names))(item, values)


def updated(text: str, item: Item, names: Mapping[str, str], values: Values) -> Item:
    """Return an item after an update."""
    after = dict(item)
    for clause, path, value in _update(_named(text, names)):
        if clause == "REMOVE":
            after = _without(after, path)
        elif value is not None:
            given = value(item, values)
            after[path] = given if clause == "SET" else _merged(clause, item.get(path), given)
            if after[path] is None:
                del after[path]
    return after


def _merged(clause: str, stored: Any, given: Any) -> Any:
    """ADD a number, or elements to a set; DELETE elements; drop an empty set."""
    kind = next(iter(given))
    if kind == "N":
        return {"N": str(Decimal(stored["N"] if stored else 0) + Decimal(given["N"]))}
    there = stored[kind] if stored else []
    if clause == "ADD":
        return {kind: [*there, *(element for element in given[kind] if element not in there)]}
    left = [element for element in there if element not in given[kind]]
    return {kind: left} if left else None


def projected(text: str, item: Item, names: Mapping[str, str]) -> Item:
    """Return the requested attributes of an item."""
    wanted = {name.strip() for name in _named(text, names).split(",")}
    return {name: value for name, value in item.items() if name in wanted}
