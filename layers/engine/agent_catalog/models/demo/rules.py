"""How the demo model reacts to a message: by calling tools, from memory, or as an echo."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

# Words with the white space after them: joined, the tokens are the text.
_TOKEN = re.compile(r"\S{1,12}\s{0,4}|\s{1,4}")


@dataclass(frozen=True)
class ToolCall:
    """A tool to call, by name, and the arguments to call it with: a JSON object."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ToolResult:
    """A call that has been answered; `content` is JSON, or why it failed or was rejected."""

    call: ToolCall
    content: Any
    failed: bool = False
    rejected: bool = False


@dataclass(frozen=True)
class Conversation:
    """
    What has been said so far.

    `message` is the user's latest message, `media` the type and the size in bytes of each file that
    came with it, `results` the tools' results for it, in the order of the calls, `rounds` the
    number of answers that called them, and `earlier` the user's messages before it, oldest first.
    """

    message: str
    media: Sequence[tuple[str, int]] = ()
    results: Sequence[ToolResult] = ()
    earlier: Sequence[str] = ()
    rounds: int = 0


@dataclass(frozen=True)
class Step:
    """
    One answer of the demo model: reasoning first, then either tool calls or the text's tokens.

    `pace_s` is the pause after each token in seconds, or None for the model's own; `lead_s` the
    silence before the calls or the first token; `fails` makes the model break off after the last.
    """

    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    tokens: Sequence[str] = ()
    pace_s: float | None = None
    lead_s: float = 0
    fails: bool = False


def split_tokens(text: str) -> list[str]:
    """Cut a text into small pieces that are the whole text again when joined."""
    return _TOKEN.findall(text)


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

_COMMANDS = re.compile(r"\s+(?=/call\s)")
_THEN = re.compile(r"\s*[,.;]?\s+(?:and )?then\s+", re.IGNORECASE)
# What follows "then" inside a command's arguments is not for the model.
_THEN_COMMAND = re.compile(r"\s*[,.;]?\s+then\s+(?=/call\s|wait\s)", re.IGNORECASE)
_WAIT = re.compile(r"wait (\d{1,3}(?:\.\d+)?) ?s(?:econds?)?[.!]?", re.IGNORECASE)

_PREFACE = "I am the demo model and follow fixed rules."


def next_step(conversation: Conversation, tools: Collection[str]) -> Step:
    """
    Decide how to react to the user's latest message, which no tool has answered yet.

    Args:
        conversation: What has been said so far.
        tools: The names of the tools that may be called.
    """
    message, received = conversation.message, received_media(conversation.media)
    if not tools:
        step = echo(message)
        if received:
            step = replace(step, tokens=[*split_tokens(f"{received}\n\n"), *step.tokens])
        return step
    remembered = recall(message, conversation.earlier)
    if remembered is not None:
        return replace(
            say(received, remembered), reasoning=f"{_PREFACE} This message asks what was said."
        )
    calls = tuple(call for call in _calls(message, tools) if call.name in tools)
    if calls:
        names = ", ".join(dict.fromkeys(call.name for call in calls))
        return Step(reasoning=f"{_PREFACE} This message is one for {names}.", calls=calls)
    return replace(
        say(received, "" if received else _no_rule(tools)),
        reasoning=f"{_PREFACE} This message fits none of them.",
    )


@dataclass(frozen=True)
class Stretch:
    """A part of a message that is answered by one round of calls, after a silence of `lead_s`."""

    text: str
    lead_s: float = 0


def stretches(message: str, tools: Collection[str]) -> Sequence[Stretch]:
    """
    Cut a message such as `A, then wait 3 s, then B` into what is done one after the other.

    Returns:
        The whole message unless each part asks for a tool.
    """
    then = _THEN_COMMAND if message.lstrip().startswith("/call") else _THEN
    found: list[Stretch] = []
    lead_s = 0.0
    for part in then.split(message):
        if match := _WAIT.fullmatch(part.strip()):
            lead_s += float(match[1])
            continue
        if not any(call.name in tools for call in _calls(part, tools)):
            return [Stretch(message)]
        found.append(Stretch(part, lead_s))
        lead_s = 0.0
    if lead_s and found:
        found.append(Stretch("", lead_s))
    return found or [Stretch(message)]


def say(*paragraphs: str) -> Step:
    """Return a step that says the paragraphs; empty ones are left out."""
    return Step(tokens=split_tokens("\n\n".join(filter(None, paragraphs))))


def _no_rule(tools: Collection[str]) -> str:
    return (
        "I am the demo model: I follow fixed rules, and this message fits none of them. "
        f"My tools are {', '.join(sorted(tools))}; "
        'you can call each of them, as in: /call NAME {"argument": "value"}'
    )


def received_media(media: Sequence[tuple[str, int]]) -> str:
    """Name the files that came with a message by their types and sizes."""
    files = [f"{media_type} of {size_bytes:,} bytes" for media_type, size_bytes in media]
    if not files:
        return ""
    if len(files) == 1:
        return f"I have received one {files[0]} and cannot look into it."
    return f"I have received {len(files)} files and cannot look into them: {', '.join(files)}."


def _calls(message: str, tools: Collection[str]) -> Iterator[ToolCall]:
    """Yield the calls that a message asks for, even of tools that the agent does not have."""
    commands = [_COMMAND.fullmatch(part) for part in _COMMANDS.split(message.strip())]
    if all(commands):
        for match in filter(None, commands):
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
    # Each rule removes the part it has read: a date is no subtraction, a length no factor.
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


_MAX_CHARACTERS = 300
_PLACED = re.compile(
    r"\bmy (first|last|previous) (?:question|message|request)\b"
    r"|\bi (?:say|ask)(?: you)? (first|last)\b",
    re.IGNORECASE,
)
_NAME_ASKED = re.compile(r"\bwhat(?:'s| is) my name\b|\bwho am i\b", re.IGNORECASE)
_NAME_SAID = re.compile(
    r"\b(?i:my name is|i am called|call me)\b|\b(?:I am|I'm) (?=[A-Z])", re.UNICODE
)
_SAID_ASKED = re.compile(
    r"\bwhat (?:did i|i) (?:say|said|tell you|told you|ask|asked|mention|mentioned)"
    r"(?:\s+(?:you\s+)?(?:about|of)?\s*(?P<about>[^?]+))?",
    re.IGNORECASE,
)
_MINE_ASKED = re.compile(r"\bwhat(?:'s| is| was| are| were) my (?P<about>[^?]+)", re.IGNORECASE)
_WORD = re.compile(r"\w{3,}")
_NO_TOPIC = {"about", "and", "before", "earlier", "just", "now", "that", "the", "this", "you"}


def recall(message: str, earlier: Sequence[str]) -> str | None:
    """
    Answer a question about what the user said earlier, by quoting it.

    Args:
        message: The user's latest message.
        earlier: The user's messages before it, oldest first.

    Returns:
        The answer, or None if the message is not such a question.
    """
    if match := _PLACED.search(message):
        return _placed((match[1] or match[2]).lower(), earlier)
    if _NAME_ASKED.search(message):
        found = _latest(earlier, lambda said: bool(_NAME_SAID.search(said)))
        return _quoted(found) if found else "You have not told me your name in this conversation."
    if match := _SAID_ASKED.search(message):
        return _about(match["about"] or "", earlier)
    if match := _MINE_ASKED.search(message):
        said = re.compile(
            rf"\bmy {re.escape(match['about'].strip())} (?:is|was|are|were)\b", re.IGNORECASE
        )
        found = _latest(earlier, lambda text: bool(said.search(text)))
        return _quoted(found) if found else None
    return None


def _placed(place: str, earlier: Sequence[str]) -> str:
    if not earlier:
        return "There is none: this conversation begins with your question."
    return _quoted(earlier[0 if place == "first" else -1], f"Your {place} message was")


def _about(topic: str, earlier: Sequence[str]) -> str:
    words = {word.lower() for word in _WORD.findall(topic)} - _NO_TOPIC
    if not words:
        return _placed("last", earlier)
    found = _latest(earlier, lambda said: bool(words & {w.lower() for w in _WORD.findall(said)}))
    return _quoted(found) if found else f"You have said nothing about {topic.strip()} here."


def _latest(earlier: Sequence[str], fits: Callable[[str], bool]) -> str | None:
    # Skip earlier questions about what was said.
    statements = (said for said in reversed(earlier) if not _SAID_ASKED.search(said))
    return next((said for said in statements if fits(said)), None)


def _quoted(text: str, introduction: str = "You said") -> str:
    shown = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} …"
    return f"{introduction}: “{shown}”"


MAX_DELTAS = 100_000
_MAX_PAUSE_MS = 60_000

_EMIT = re.compile(r"/emit\s+(\d{1,9})(?:\s+every\s+(\d{1,9}))?(?:\s+after\s+(\d{1,9}))?")
_THINK = re.compile(r"/think\s+(.+)", re.DOTALL)


def echo(message: str) -> Step:
    """
    Answer with the message, or obey a command.

    `/emit N` streams N small deltas at full speed, `/emit N every MS` pauses MS milliseconds after
    each, and `after MS` at the end delays the first; `/think TEXT` says TEXT as reasoning and then
    as the answer; `/fail` breaks off in mid-answer. Text that only resembles a command is echoed.
    """
    command = message.strip()
    if match := _EMIT.fullmatch(command):
        return _emit(int(match[1]), int(match[2] or 0), int(match[3] or 0))
    if match := _THINK.fullmatch(command):
        return Step(reasoning=match[1], tokens=split_tokens(match[1]))
    if command == "/fail":
        return Step(tokens=split_tokens("This answer breaks off here, "), fails=True)
    return Step(tokens=split_tokens(message))


def _emit(count: int, pause_ms: int, lead_ms: int) -> Step:
    if not 1 <= count <= MAX_DELTAS or max(pause_ms, lead_ms) > _MAX_PAUSE_MS:
        limits = f"/emit takes 1 to {MAX_DELTAS} deltas, and at most {_MAX_PAUSE_MS} ms."
        return Step(tokens=split_tokens(limits))
    return Step(
        tokens=[f"{number} " for number in range(1, count + 1)],
        pace_s=pause_ms / 1000,
        lead_s=lead_ms / 1000,
    )
