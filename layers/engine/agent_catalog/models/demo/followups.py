"""What the demo model suggests to ask next."""

import re
from collections.abc import Iterator, Sequence

HOW_MANY = 3
_SYMBOL = re.compile(r"\b(?:AAPL|AMZN|GOOGL|MSFT|NVDA)\b")
_HEADING = re.compile(r"“([^”\n]{3,80})”")
_FIGURE = re.compile(r"-?\d+(?:\.\d+)?")
_EXAMPLES = {
    "search_docs": ("How do I add a tool?", "How do I deploy it?", "What does it cost?"),
    "calculate": ("What is 17 * 23?",),
    "convert_units": ("Convert 5 miles to km",),
    "shift_date": ("What is 3 weeks after 2026-01-31?",),
    "get_portfolio": ("Show my portfolio",),
    "get_quote": ("What is the price of NVDA?",),
    "place_order": ("Buy 1 share of NVDA",),
}
_ALWAYS = (
    "What was my first question?",
    "What did I ask last?",
    "What is my name?",
    "What did I say before that?",
)
_WITHOUT_TOOLS = ("/emit 10", "/emit 5 every 200", "/think one, two", "Hello")


def followups(question: str, answer: str, tools: Sequence[str]) -> list[str]:
    """Suggest three different messages: first such as follow from the answer, then examples."""
    examples = (example for tool in tools for example in _EXAMPLES.get(tool, ()))
    always = _ALWAYS if tools else _WITHOUT_TOOLS
    candidates = dict.fromkeys([*_from_answer(question, answer, tools), *examples, *always])
    return [text for text in candidates if text != question.strip()][:HOW_MANY]


def _from_answer(question: str, answer: str, tools: Sequence[str]) -> Iterator[str]:
    if "search_docs" in tools:
        for heading in _HEADING.findall(answer)[1:3]:
            yield f"What do the docs say about {heading}?"
    if "get_quote" in tools:
        for symbol in _SYMBOL.findall(question)[:1]:
            yield f"What is the price of {symbol}?"
            yield f"Sell 1 share of {symbol}"
            yield "Show my portfolio"
    if "calculate" in tools:
        for figure in _FIGURE.findall(answer)[-1:]:
            yield f"What is {figure} * 2?"
