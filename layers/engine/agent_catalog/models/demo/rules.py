"""The rules by which the demo model picks tools for a message."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from agent_catalog.models.demo.answers import answer
from agent_catalog.models.demo.echo import echo
from agent_catalog.models.demo.recall import recall
from agent_catalog.models.demo.step import Conversation, Step, ToolCall, split_tokens

_DATE = r"(\d{4}-\d{2}-\d{2})"
_UNITS = r"(day|week|month|year)s?"
_TWO_DATES = re.compile(rf"{_DATE}\b.*?\b{_DATE}", re.DOTALL)
_SHIFT_WORDS = re.compile(rf"(\d+) {_UNITS} (after|from|before) {_DATE}", re.IGNORECASE)
_SHIFT_SIGNS = re.compile(rf"{_DATE} (plus|minus|[+-]) ?(\d+) {_UNITS}", re.IGNORECASE)

_UNIT = r"[^\W\d][\w°/^*]*"
_CONVERSION = re.compile(
    rf"(-?\d+(?:\.\d+)?)\s*({_UNIT})\s+(?:to|in|into)\s+({_UNIT})", re.IGNORECASE
)

_SPOKEN = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/"}
_SPOKEN_OPERATOR = re.compile("|".join(_SPOKEN), re.IGNORECASE)
_EXPRESSION = re.compile(r"-?(?:sqrt|[\d.(])[\d\s.+\-*/%^()]*[\d)]")
_TYPOGRAPHY = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-"}
)
_OPERATION = re.compile(r"[\d)]\s*[-+*/%^]|sqrt")

_HOLDINGS = re.compile(
    r"portfolio|holding|position|balance|cash|\bi (own|have|hold)\b", re.IGNORECASE
)
_SYMBOL = re.compile(r"\b(?!USD|EUR|GBP|ETF)[A-Z]{3,5}\b")

_ORDER = re.compile(
    r"\b(buy|sell)\s+(\d{1,9})\s+(?:shares?\s+(?:of\s+)?)?([a-z]{1,5})\b", re.IGNORECASE
)

_COMMAND = re.compile(r"\s*/call\s+(\w+)\s*(\{.*\})?\s*", re.DOTALL)

_PREFACE = "I am the demo model and follow fixed rules."


def next_step(conversation: Conversation, tools: Collection[str]) -> Step:
    """
    Decide what to do about what the user has said last.

    Args:
        conversation: What has been said so far.
        tools: The names of the tools that may be called.
    """
    message, received = conversation.message, _received(conversation.media)
    if conversation.results:
        return _say(received, answer(message, conversation.results, tools))
    if not tools:
        step = echo(message)
        if received:
            step = replace(step, tokens=[*split_tokens(f"{received}\n\n"), *step.tokens])
        return step
    remembered = recall(message, conversation.earlier)
    if remembered is not None:
        return replace(
            _say(received, remembered), reasoning=f"{_PREFACE} This message asks what was said."
        )
    calls = tuple(call for call in _calls(message, tools) if call.name in tools)
    if calls:
        names = ", ".join(dict.fromkeys(call.name for call in calls))
        return Step(reasoning=f"{_PREFACE} This message is one for {names}.", calls=calls)
    return replace(
        _say(received, "" if received else _no_rule(tools)),
        reasoning=f"{_PREFACE} This message fits none of them.",
    )


def _say(*paragraphs: str) -> Step:
    return Step(tokens=split_tokens("\n\n".join(filter(None, paragraphs))))


def _no_rule(tools: Collection[str]) -> str:
    return (
        "I am the demo model: I follow fixed rules, and this message fits none of them. "
        f"My tools are {', '.join(sorted(tools))}; "
        'you can call each of them, as in: /call NAME {"argument": "value"}'
    )


def _received(media: Sequence[tuple[str, int]]) -> str:
    files = [f"{media_type} of {size_bytes:,} bytes" for media_type, size_bytes in media]
    if not files:
        return ""
    if len(files) == 1:
        return f"I have received one {files[0]} and cannot look into it."
    return f"I have received {len(files)} files and cannot look into them: {', '.join(files)}."


def _calls(message: str, tools: Collection[str]) -> Iterator[ToolCall]:
    """Yield the calls that a message asks for, whether or not the agent has each of the tools."""
    if match := _COMMAND.fullmatch(message):
        yield from _command(match[1], match[2] or "{}")
        return
    if "place_order" in tools and (orders := _ORDER.findall(message)):
        for side, shares, symbol in orders:
            order = {"symbol": symbol.upper(), "side": side.lower(), "shares": int(shares)}
            yield ToolCall("place_order", order)
        return
    yield ToolCall("search_docs", {"query": message})
    if _HOLDINGS.search(message):
        yield ToolCall("get_portfolio", {})
    for symbol in dict.fromkeys(_SYMBOL.findall(message)):
        yield ToolCall("get_quote", {"symbol": symbol})
    # Each rule takes its part out of the message: a date is no subtraction, a length no factor.
    rest = message
    for rule in (_date_calls, _conversion_calls, _arithmetic_calls):
        calls, rest = rule(rest)
        yield from calls


def _command(name: str, arguments: str) -> Iterator[ToolCall]:
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return
    if isinstance(parsed, dict):
        yield ToolCall(name, parsed)


def _date_calls(text: str) -> tuple[list[ToolCall], str]:
    calls = []
    for match in _SHIFT_WORDS.finditer(text):
        sign = -1 if match[3].lower() == "before" else 1
        calls.append(_shift(match[4], sign * int(match[1]), match[2]))
    for match in _SHIFT_SIGNS.finditer(text):
        sign = -1 if match[2].lower() in {"-", "minus"} else 1
        calls.append(_shift(match[1], sign * int(match[3]), match[4]))
    text = _SHIFT_SIGNS.sub(" ", _SHIFT_WORDS.sub(" ", text))
    calls += [
        ToolCall("days_between", {"start": match[1], "end": match[2]})
        for match in _TWO_DATES.finditer(text)
    ]
    return calls, re.sub(_DATE, " ", text)


def _shift(start: str, amount: int, unit: str) -> ToolCall:
    arguments = {"start": start, "amount": amount, "unit": f"{unit.lower()}s"}
    return ToolCall("shift_date", arguments)


def _conversion_calls(text: str) -> tuple[list[ToolCall], str]:
    calls = [
        ToolCall(
            "convert_units",
            {"value": float(match[1]), "from_unit": match[2], "to_unit": match[3]},
        )
        for match in _CONVERSION.finditer(text)
    ]
    return calls, _CONVERSION.sub(" ", text)


def _arithmetic_calls(text: str) -> tuple[list[ToolCall], str]:
    text = _SPOKEN_OPERATOR.sub(lambda match: _SPOKEN[match[0].lower()], text)
    text = text.translate(_TYPOGRAPHY)
    expressions = [_balanced(found) for found in _EXPRESSION.findall(text)]
    return [
        ToolCall("calculate", {"expression": expression})
        for expression in expressions
        if _OPERATION.search(expression)
    ], text


def _balanced(expression: str) -> str:
    """Drop a bracket of the sentence around the expression."""
    if expression.count("(") < expression.count(")"):
        return expression.removesuffix(")").strip()
    if expression.count("(") > expression.count(")"):
        return expression.removeprefix("(").strip()
    return expression
