"""The demo model, alone and as the model of the shipped agents."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_ai import Agent as AiAgent
from pydantic_ai.models.function import FunctionModel

from agent_catalog.models.demo.model import demo_model
from agent_catalog.models.demo.rules import Conversation, echo, next_step, split_tokens
from agent_catalog.models.factory import create_model
from agent_catalog.passages import PassageIndex, split_passages
from agentrun.domain.errors import EngineError
from agentrun.domain.events import (
    ContentDelta,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)
from tests.fakes.engine_outputs import EngineOutput
from tests.unit.agent_catalog.chat import Chat
from tools import search

pytestmark = pytest.mark.anyio

ANALYST = {"calculate", "convert_units", "shift_date", "days_between"}
AWKWARD = "naïve 🙂 \U0001f9d1‍🚀 \r\n line\u2028separator \u0000 tab\t «»  "


def tool_names(events: list[EngineOutput]) -> list[str]:
    return [event.name for event in events if isinstance(event, ToolStart)]


async def test_the_analyst_asks_its_calculator(chat: Chat) -> None:
    answer, events = await chat.ask("analyst", "What is 17 * 23?")
    assert answer == "17 * 23 = 391"
    assert isinstance(events[0], ReasoningDelta)
    calls = [event for event in events if isinstance(event, ToolStart | ToolEnd)]
    assert calls == [
        ToolStart(id="demo_1_1", name="calculate", arguments={"expression": "17 * 23"}),
        ToolEnd(id="demo_1_1", name="calculate", result=391),
    ]


async def test_the_analyst_uses_several_tools_at_once_or_the_one_of_a_command(chat: Chat) -> None:
    command = '/call days_between {"start": "2026-01-01", "end": "2026-01-08"}'
    answer, _ = await chat.ask("analyst", command)
    assert answer == "From 2026-01-01 to 2026-01-08 it is 7 days."
    message = "Convert 5 miles to km, and 2 plus 2; what is 3 weeks after 2026-01-31?"
    answer, events = await chat.ask("analyst", message)
    assert tool_names(events) == ["shift_date", "convert_units", "calculate"]
    assert answer.split("\n\n") == [
        "2026-01-31 +3 weeks is 2026-02-21.",
        "5 miles = 8.04672 kilometer",
        "2 + 2 = 4",
    ]


async def test_what_comes_then_is_done_when_the_rest_is_done(chat: Chat) -> None:
    message = "What is 17 * 23, then wait 0.01 s, then convert 5 miles to km; then what is 2 + 2?"
    answer, events = await chat.ask("analyst", message)
    calls = [event for event in events if isinstance(event, ToolStart | ToolEnd)]
    assert [(type(event), event.id) for event in calls] == [
        (kind, f"demo_{number}_1") for number in (1, 3, 5) for kind in (ToolStart, ToolEnd)
    ]
    assert answer == "17 * 23 = 391\n\n5 miles = 8.04672 kilometer\n\n2 + 2 = 4"


async def test_commands_side_by_side_are_called_at_once_and_then_one_by_one(chat: Chat) -> None:
    one, two = (f'/call calculate {{"expression": "{n} + 1"}}' for n in (1, 2))
    _, events = await chat.ask("analyst", f"{one} {two} then {one}")
    starts = [event.id for event in events if isinstance(event, ToolStart)]
    assert starts == ["demo_1_1", "demo_1_2", "demo_3_1"]


async def test_a_message_of_which_a_part_asks_for_nothing_is_taken_as_a_whole(chat: Chat) -> None:
    answer, events = await chat.ask("analyst", "First 1 + 1, then tell me more")
    assert tool_names(events) == ["calculate"]
    assert answer == "1 + 1 = 2"


async def test_the_answer_tells_of_a_tool_that_failed(chat: Chat) -> None:
    answer, events = await chat.ask("analyst", "What is 1 / 0?")
    assert any(isinstance(event, ToolError) for event in events)
    assert answer == "The tool calculate could not help: The expression divides by zero."


async def test_a_message_without_a_rule_is_answered_honestly(chat: Chat) -> None:
    answer, events = await chat.ask("analyst", "Tell me a joke.")
    assert "demo model" in answer
    assert "calculate" in answer
    assert tool_names(events) == []


async def test_the_docs_assistant_quotes_its_sources(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PassageIndex(split_passages("docs/zoo.md", "# Zebras\nStriped.\n\nAnd fast."))
    monkeypatch.setattr(search, "_index", lambda: index)
    answer, events = await chat.ask("docs_assistant", "What are zebras?")
    assert tool_names(events) == ["search_docs"]
    assert answer == "docs/zoo.md, “Zebras”:\n\n> Striped.\n>\n> And fast."
    answer, _ = await chat.ask("docs_assistant", "What is a quagga?")
    assert answer == "I have found nothing about this in the documentation."


async def test_the_docs_assistant_quotes_the_best_passage_and_names_the_others(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"# Zebras\nZebras are striped {'and fast ' * 30}\n\nNever said.\n\n# Food\nZebras eat."
    index = PassageIndex(split_passages("zoo.md", text))
    monkeypatch.setattr(search, "_index", lambda: index)
    answer, _ = await chat.ask("docs_assistant", "What are zebras?")
    assert answer.startswith("zoo.md, “Zebras”:\n\n> Zebras are striped")
    assert "Never said" not in answer
    assert answer.endswith("More about it:\n\n- zoo.md, “Food”")


async def test_the_finance_agent_shows_the_sessions_portfolio(chat: Chat) -> None:
    answer, events = await chat.ask("finance_agent", "What is in my portfolio?")
    assert tool_names(events) == ["get_portfolio"]
    assert "Demo data" in answer
    assert (await chat.ask("finance_agent", "Show my holdings"))[0] == answer


async def test_an_order_without_a_number_is_not_guessed(chat: Chat) -> None:
    answer, events = await chat.ask("finance_agent", "Buy AMZN")
    assert tool_names(events) == ["get_quote"]
    assert answer.startswith("AMZN is at 201.25 USD.")
    assert answer.endswith("An order needs a number, as in: Buy 10 shares of AMZN")


@pytest.mark.parametrize("message", [AWKWARD, "/emit", "/emit x", "/failed", "/think", " /emit 3x"])
async def test_echo_answers_with_the_message_itself(chat: Chat, message: str) -> None:
    answer, events = await chat.ask("echo", message)
    assert answer == message
    assert events == []


async def test_echo_streams_as_many_deltas_as_asked_for(chat: Chat) -> None:
    events = [event async for event in chat.stream("echo", "/emit 250")]
    deltas = [event for event in events if isinstance(event, ContentDelta)]
    assert len(deltas) == 250
    assert deltas[-1].text == "250 "


async def test_echo_thinks_first_when_told_to(chat: Chat) -> None:
    answer, events = await chat.ask("echo", "/think one two\nthree")
    reasoning = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(reasoning) == answer == "one two\nthree"


async def test_echo_fails_in_mid_answer_when_told_to(chat: Chat) -> None:
    run = chat.stream("echo", "/fail")
    assert isinstance(await anext(run), ContentDelta)
    with pytest.raises(EngineError, match="has failed"):
        async for _ in run:
            pass


@pytest.mark.parametrize(
    "message", ["/emit 0", "/emit 100001", "/emit 5 every 60001", "/emit 5 after 60001"]
)
def test_echo_refuses_what_is_beyond_its_limits(message: str) -> None:
    step = echo(message)
    assert "".join(step.tokens).startswith("/emit takes 1 to 100000")
    assert step.pace_s is None


def test_echo_paces_its_deltas() -> None:
    assert echo("/emit 3").pace_s == 0
    assert echo("/emit 3 every 250").pace_s == 0.25
    assert echo("/emit 3 every 250 after 2000").lead_s == 2


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    tokens = split_tokens(text)
    assert "".join(tokens) == text
    assert all(0 < len(token) <= 16 for token in tokens)


def converted(value: float, unit: str, to: str) -> tuple[str, dict[str, Any]]:
    return "convert_units", {"value": value, "from_unit": unit, "to_unit": to}


def shifted(start: str, amount: int, unit: str) -> tuple[str, dict[str, Any]]:
    return "shift_date", {"start": start, "amount": amount, "unit": unit}


ECHOING = Chat()


@settings(max_examples=60)
@given(st.text(min_size=1).filter(lambda text: "/" not in text and text.strip()))
async def test_deltas_joined_are_the_text(text: str) -> None:
    answer, _ = await ECHOING.ask("echo", text)
    assert answer == text


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        ("17*23", [("calculate", {"expression": "17*23"})]),
        ("Is it (2 + 3) * 4?", [("calculate", {"expression": "(2 + 3) * 4"})]),
        ("Sum up (see 3 + 4)", [("calculate", {"expression": "3 + 4"})]),
        ("6 times 7", [("calculate", {"expression": "6 * 7"})]),
        ("12 divided by 5", [("calculate", {"expression": "12 / 5"})]),
        ("sqrt(16)", [("calculate", {"expression": "sqrt(16)"})]),
        ("I was born in 1990", []),
        ("Today is 2026-01-31", []),
        ("100 fahrenheit in celsius?", [converted(100.0, "fahrenheit", "celsius")]),
        ("90 km/h to m/s", [converted(90.0, "km/h", "m/s")]),
        ("2 months before 2026-03-31", [shifted("2026-03-31", -2, "months")]),
        ("2026-03-31 + 1 day", [shifted("2026-03-31", 1, "days")]),
        (
            "How many days from 2024-01-01 to 2024-03-01?",
            [("days_between", {"start": "2024-01-01", "end": "2024-03-01"})],
        ),
        ('/call calculate {"expression": "1"}', [("calculate", {"expression": "1"})]),
        ("/call calculate", [("calculate", {})]),
        ("/call calculate {broken}", []),
        ("/call unknown {}", []),
    ],
)
def test_the_rules_find_what_a_message_asks_for(message: str, calls: list[Any]) -> None:
    step = next_step(Conversation(message), ANALYST)
    assert [(call.name, call.arguments) for call in step.calls] == calls


async def test_the_demo_model_answers_without_streaming_too() -> None:
    agent = AiAgent(demo_model(delay_s=0), name="analyst")

    @agent.tool_plain
    def calculate(expression: str) -> int:
        return len(expression)

    result = await agent.run("What is 17 * 23?")
    assert result.output == "17 * 23 = 7"


def test_the_pause_between_tokens_is_set_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENTRUN_DEMO_DELAY_MS", "0")
    assert isinstance(model := create_model("demo"), FunctionModel)
    assert model.model_name == "demo"
    monkeypatch.setenv("AGENTRUN_DEMO_DELAY_MS", "soon")
    with pytest.raises(EngineError):
        create_model("demo")
