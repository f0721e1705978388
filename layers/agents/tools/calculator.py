"""Arithmetic, limited so that no expression can keep the machine busy."""

import ast
import math
import operator
from collections.abc import Callable

from simpleeval import (  # type: ignore[import-untyped]  # has neither stubs nor py.typed
    InvalidExpression,
    SimpleEval,
)

from agent_catalog.toolkit import ToolInputError

Number = int | float

_MAX_CHARACTERS = 500
# About 1200 decimal digits; Python converts at most 4300 to text.
_MAX_BITS = 4096


def calculate(expression: str) -> Number:
    """
    Work out an arithmetic expression.

    Args:
        expression: Numbers, + - * / // % ^ and parentheses, pi and e, and the functions sqrt, abs,
            round, min, max, log (natural), log10, exp, sin, cos and tan (radians).
    """
    if len(expression) > _MAX_CHARACTERS:
        raise ToolInputError(f"The expression is longer than {_MAX_CHARACTERS} characters.")
    try:
        result = _evaluator().eval(expression.translate(_TYPOGRAPHY).replace("^", "**").strip())
    except ToolInputError:
        raise
    except ZeroDivisionError as error:
        raise ToolInputError("The expression divides by zero.") from error
    except OverflowError as error:
        raise ToolInputError("The result is too large.") from error
    except (InvalidExpression, ArithmeticError, ValueError, TypeError) as error:
        raise ToolInputError(f"'{expression}' is not an expression that I can work out.") from error
    except (SyntaxError, RecursionError, MemoryError, KeyError) as error:
        raise ToolInputError(f"'{expression}' is not an arithmetic expression.") from error
    # The 16th digit of a float is noise: 0.1 + 0.2 should be 0.3.
    number = _bounded(result)
    return float(f"{number:.15g}") if isinstance(number, float) else number


def _bounded(value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolInputError("The result is not a real number.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ToolInputError("The result is too large.")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ToolInputError("The result is too large.")
    return value


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and base.bit_length() * exponent > _MAX_BITS:
        raise ToolInputError("The result is too large.")
    return _bounded(base**exponent)


def _round(value: Number, digits: int = 0) -> Number:
    # With many negative digits, Python computes that power of ten first.
    if abs(digits) > 30:
        raise ToolInputError("I can round to 30 digits at most.")
    return round(value, digits or None)


def _checked(operation: Callable[[Number, Number], object]) -> Callable[[Number, Number], Number]:
    def apply(left: Number, right: Number) -> Number:
        # Operators such as `*` and `%` also accept text.
        return _bounded(operation(_bounded(left), _bounded(right)))

    return apply


def _evaluator() -> SimpleEval:
    # A new one for each call, because it has state and tools run in threads.
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names=_NAMES)
    evaluator.nodes = {node: evaluator.nodes[node] for node in _NODES}
    return evaluator


_TYPOGRAPHY = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-"}
)
# No format strings, whose width can be huge, and no attributes, subscripts or comparisons.
_NODES = (ast.Expr, ast.Name, ast.UnaryOp, ast.BinOp, ast.Call, ast.Constant)
_NAMES = {"pi": math.pi, "e": math.e}
_FUNCTIONS = {
    "sqrt": math.sqrt,
    "abs": abs,
    "round": _round,
    "min": min,
    "max": max,
    "log": math.log,
    "log10": math.log10,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
}
_OPERATORS = {
    ast.Add: _checked(operator.add),
    ast.Sub: _checked(operator.sub),
    ast.Mult: _checked(operator.mul),
    ast.Div: _checked(operator.truediv),
    ast.FloorDiv: _checked(operator.floordiv),
    ast.Mod: _checked(operator.mod),
    ast.Pow: _checked(_power),
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
