"""The demo model: a pydantic-ai model that follows fixed rules, without a network."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import replace

from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingCalls,
    DeltaThinkingPart,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
)

from agent_catalog.models.demo.rules import (
    Conversation,
    Step,
    Stretch,
    ToolCall,
    ToolResult,
    next_step,
    received_media,
    say,
    split_tokens,
    stretches,
)
from agent_catalog.running.events import failure_reason
from agent_catalog.running.followups import HOW_MANY, Exchange

# Long answers are sped up so that none takes longer than this.
_MAX_ANSWER_S = 15.0

_Delta = str | DeltaToolCalls | DeltaThinkingCalls


def demo_model(*, delay_s: float) -> FunctionModel:
    """
    Build the demo model.

    Args:
        delay_s: The pause after each token in seconds, to make the streaming visible; 0 for none.
    """

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[_Delta]:
        step = _step(messages, info)
        thoughts = split_tokens(step.reasoning)
        pause_s = min(delay_s, _MAX_ANSWER_S / (len(thoughts) + len(step.tokens) + 1))
        for thought in thoughts:
            yield {0: DeltaThinkingPart(content=thought)}
            await _pause(pause_s)
        if step.calls:
            await _pause(step.lead_s)
            # One part per call; the thinking part has the number 0.
            yield {
                number: DeltaToolCall(
                    name=call.name,
                    json_args=json.dumps(call.arguments),
                    tool_call_id=_call_id(messages, number),
                )
                for number, call in enumerate(step.calls, start=1)
            }
        pause_s = pause_s if step.pace_s is None else step.pace_s
        await _pause(0 if step.calls else step.lead_s)
        for token in step.tokens:
            yield token
            await _pause(pause_s)
        if step.fails:
            raise _asked_to_fail()

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        step = _step(messages, info)
        if step.fails:
            raise _asked_to_fail()
        parts: list[ModelResponsePart] = []
        if step.reasoning:
            parts.append(ThinkingPart(step.reasoning))
        parts += [
            ToolCallPart(call.name, call.arguments, tool_call_id=_call_id(messages, number))
            for number, call in enumerate(step.calls, start=1)
        ]
        if step.tokens:
            parts.append(TextPart("".join(step.tokens)))
        return ModelResponse(parts=parts)

    return FunctionModel(respond, stream_function=stream, model_name="demo")


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def _asked_to_fail() -> ModelAPIError:
    return ModelAPIError("demo", "The demo model was asked to fail.")


def _call_id(messages: Sequence[ModelMessage], number: int) -> str:
    # The same in every run of the same conversation, and used once in each.
    return f"demo_{len(messages)}_{number}"


def _step(messages: Sequence[ModelMessage], info: AgentInfo) -> Step:
    conversation = _conversation(messages)
    if info.output_tools:
        exchange = Exchange.model_validate_json(conversation.message)
        texts = followups(exchange.question, exchange.answer, exchange.tools)
        return Step(calls=(ToolCall(info.output_tools[0].name, {"suggestions": texts}),))
    tools = [tool.name for tool in info.function_tools]
    parts = stretches(conversation.message, tools)
    here = parts[conversation.rounds] if conversation.rounds < len(parts) else Stretch("")
    if here.text:
        # The question of what was said is about the whole message.
        message = here.text if len(parts) > 1 else conversation.message
        step = next_step(replace(conversation, message=message), tools)
        return replace(step, lead_s=here.lead_s) if here.lead_s else step
    told = tell_results(conversation.message, conversation.results, tools)
    return replace(say(received_media(conversation.media), told), lead_s=here.lead_s)


def _conversation(messages: Sequence[ModelMessage]) -> Conversation:
    prompts: list[UserPromptPart] = []
    calls: dict[str, ToolCall] = {}
    results: dict[str, ToolResult] = {}
    rounds: set[int] = set()
    for place, part in (
        (place, part) for place, sent in enumerate(messages) for part in sent.parts
    ):
        if isinstance(part, UserPromptPart):
            prompts.append(part)
            calls, results, rounds = {}, {}, set()
        elif isinstance(part, ToolCallPart):
            rounds.add(place)
            calls[part.tool_call_id] = ToolCall(part.tool_name, part.args_as_dict())
        elif isinstance(part, ToolReturnPart) and part.tool_call_id in calls:
            results[part.tool_call_id] = _result(part, calls[part.tool_call_id])
    *earlier, latest = prompts
    return Conversation(
        message=_text(latest),
        media=[
            (item.media_type, len(item.data))
            for item in latest.content
            if isinstance(item, BinaryContent)
        ],
        results=[results[call_id] for call_id in calls if call_id in results],
        earlier=[_text(prompt) for prompt in earlier],
        rounds=len(rounds),
    )


def _result(part: ToolReturnPart, call: ToolCall) -> ToolResult:
    if part.outcome == "success":
        return ToolResult(call, part.content)
    reason = failure_reason(part.content)
    return ToolResult(call, reason, failed=True, rejected=part.outcome == "denied")


def _text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return next((item for item in part.content if isinstance(item, str)), "")


_ENOUGH_WORDS = 50
_HOW_TO_ORDER = "An order needs a number, as in: Buy 10 shares of AMZN"
_ORDER = re.compile(r"\b(buy|sell|order|trade)\b", re.IGNORECASE)


def tell_results(message: str, results: Sequence[ToolResult], tools: Collection[str]) -> str:
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
    """Suggest three different messages: those that follow from the answer first, then examples."""
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
