"""How the demo model says what its tools have found; it adds nothing to it."""

import json
import re
from collections.abc import Callable, Collection, Sequence

from agent_catalog.models.demo.step import ToolResult

_ENOUGH_WORDS = 50
_HOW_TO_ORDER = "An order needs a number, as in: Buy 10 shares of AMZN"
_ORDER = re.compile(r"\b(buy|sell|order|trade)\b", re.IGNORECASE)


def answer(message: str, results: Sequence[ToolResult], tools: Collection[str]) -> str:
    """Put the results of a message's tool calls into sentences."""
    sentences = [_sentence(result) for result in results]
    if _ORDER.search(message) and {result.call.name for result in results} == {"get_quote"}:
        can_order = "place_order" in tools
        sentences.append(_HOW_TO_ORDER if can_order else "I cannot place orders.")
    return "\n\n".join(sentences)


def _sentence(result: ToolResult) -> str:
    if result.rejected:
        return f"I have not called {_named(result)}. {result.content}"
    if result.failed:
        return f"The tool {result.call.name} could not help: {result.content}"
    return _PHRASES.get(result.call.name, _anything)(result)


def _named(result: ToolResult) -> str:
    given = ", ".join(f"{name}={value}" for name, value in result.call.arguments.items())
    return f"{result.call.name}({given})"


def _anything(result: ToolResult) -> str:
    content = json.dumps(result.content, ensure_ascii=False, indent=2, default=str)
    return f"The tool {result.call.name} has answered:\n\n```json\n{content}\n```"


def _passages(result: ToolResult) -> str:
    if not result.content:
        return "I have found nothing about this in the documentation."
    best, *others = result.content
    quote = f"{best['source']}, “{best['heading']}”:\n\n{_quoted(_beginning(best['text']))}"
    further = "".join(f"\n- {other['source']}, “{other['heading']}”" for other in others)
    return quote + (f"\n\nMore about it:\n{further}" if further else "")


def _beginning(text: str) -> str:
    """Take whole paragraphs until there is enough to read while it streams."""
    taken: list[str] = []
    for paragraph in text.split("\n\n"):
        taken.append(paragraph)
        if sum(len(part.split()) for part in taken) >= _ENOUGH_WORDS:
            break
    return "\n\n".join(taken)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _calculated(result: ToolResult) -> str:
    return f"{result.call.arguments['expression']} = {result.content}"


def _converted(result: ToolResult) -> str:
    given = result.call.arguments
    value, unit = result.content["value"], result.content["unit"]
    return f"{given['value']:.12g} {given['from_unit']} = {value:.12g} {unit}"


def _shifted(result: ToolResult) -> str:
    given = result.call.arguments
    return f"{given['start']} {given['amount']:+d} {given['unit']} is {result.content}."


def _days(result: ToolResult) -> str:
    given = result.call.arguments
    return f"From {given['start']} to {given['end']} it is {result.content} days."


def _portfolio(result: ToolResult) -> str:
    holdings = result.content
    lines = [
        f"- {position['shares']} {position['symbol']} at {position['price']:.2f}: "
        f"{position['value']:.2f}"
        for position in holdings["positions"]
    ]
    worth = (
        f"The portfolio is worth {holdings['total']:.2f} {holdings['currency']}, "
        f"{holdings['cash']:.2f} of it in cash. {holdings['note']}"
    )
    return "\n".join([worth, *lines])


def _quote(result: ToolResult) -> str:
    quote = result.content
    return f"{quote['symbol']} is at {quote['price']:.2f} {quote['currency']}. {quote['note']}"


def _ordered(result: ToolResult) -> str:
    order = result.content
    done = "Bought" if order["side"] == "buy" else "Sold"
    return (
        f"{done} {order['shares']} {order['symbol']} at {order['price']:.2f} {order['currency']}, "
        f"{order['value']:.2f} in all; the cash is {order['cash']:.2f} now. {order['note']}"
    )


_PHRASES: dict[str, Callable[[ToolResult], str]] = {
    "search_docs": _passages,
    "calculate": _calculated,
    "convert_units": _converted,
    "shift_date": _shifted,
    "days_between": _days,
    "get_portfolio": _portfolio,
    "get_quote": _quote,
    "place_order": _ordered,
}
