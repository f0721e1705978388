"""The demo model over several turns: what it remembers, waits for, receives and suggests."""

import pytest

from agent_catalog.models.demo.model import followups
from agent_catalog.models.demo.rules import recall
from agentrun.domain.events import PendingApproval, ToolError, ToolStart
from agentrun.domain.media import LoadedMedia
from agentrun.domain.turns import TurnEnded, TurnPaused
from agentrun_local.testing import AsyncTalk
from tests.unit.agent_catalog.chat import Chat

pytestmark = pytest.mark.anyio

EARLIER = [
    "Hello, my name is Ana.",
    "My favourite number is 17. What is 17 * 23?",
    "Convert 5 miles to km",
]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("What is my name?", "You said: “Hello, my name is Ana.”"),
        ("Who am I?", "You said: “Hello, my name is Ana.”"),
        ("What was my first question?", "Your first message was: “Hello, my name is Ana.”"),
        ("what was my last message", "Your last message was: “Convert 5 miles to km”"),
        ("What did I ask first?", "Your first message was: “Hello, my name is Ana.”"),
        ("What did I say about miles?", "You said: “Convert 5 miles to km”"),
        ("Do you remember what I said about miles?", "You said: “Convert 5 miles to km”"),
        ("What did I say?", "Your last message was: “Convert 5 miles to km”"),
        (
            "What is my favourite number?",
            "You said: “My favourite number is 17. What is 17 * 23?”",
        ),
        ("What did I say about whales?", "You have said nothing about whales here."),
        ("What is my favourite colour?", None),
        ("What is 17 * 23?", None),
        ("Show my portfolio", None),
    ],
)
def test_what_the_user_has_said_is_quoted(message: str, answer: str | None) -> None:
    assert recall(message, EARLIER) == answer


def test_what_the_user_has_not_said_is_not_made_up() -> None:
    assert recall("What is my name?", ["Hello"]) == (
        "You have not told me your name in this conversation."
    )
    assert recall("What was my first question?", []) == (
        "There is none: this conversation begins with your question."
    )


def test_what_is_quoted_is_the_statement_and_not_the_question_about_it() -> None:
    earlier = ["Whales are large.", "What did I say about whales?"]
    assert recall("What did I say about whales?", earlier) == "You said: “Whales are large.”"


async def test_an_agent_answers_from_the_conversation() -> None:
    talk = AsyncTalk("docs_assistant")
    await talk.say("My name is Ana and I like zebras.")
    assert await talk.say("What is my name?") == "You said: “My name is Ana and I like zebras.”"
    assert talk.tools == []
    await talk.say("How do I add a tool?")
    assert await talk.say("What was my first question?") == (
        "Your first message was: “My name is Ana and I like zebras.”"
    )


async def test_an_order_waits_for_its_approval_and_is_then_in_the_portfolio() -> None:
    talk = AsyncTalk("finance_agent", "5f0a4c3e-8f3e-4d61-9d0c-2f1a7c9f0b11")
    await talk.say("Show my portfolio")
    before = talk.results[0]
    assert await talk.say("Buy 2 shares of NVDA") == ""
    assert talk.tools == []
    paused = talk.outputs[-1]
    assert isinstance(paused, TurnPaused)
    arguments = {"symbol": "NVDA", "side": "buy", "shares": 2}
    assert [call.arguments for call in paused.pending] == [arguments]
    answer = await talk.approve()
    assert answer.startswith("Bought 2 NVDA at 138.65 USD, 277.30 in all;")
    assert talk.tools == ["place_order"]
    await talk.say("Show my portfolio")
    after = talk.results[0]
    assert after["cash"] == pytest.approx(before["cash"] - 277.3)
    assert after["total"] == pytest.approx(before["total"])
    assert shares_of(after, "NVDA") == shares_of(before, "NVDA") + 2


def shares_of(portfolio: dict[str, list[dict[str, object]]], symbol: str) -> int:
    shares = (
        position["shares"] for position in portfolio["positions"] if position["symbol"] == symbol
    )
    return int(str(next(shares, 0)))


async def test_orders_of_all_turns_count() -> None:
    talk = AsyncTalk("finance_agent")
    await talk.say("Show my portfolio")
    before = shares_of(talk.results[0], "NVDA")
    for shares in (1, 2):
        await talk.say(f"Buy {shares} NVDA")
        await talk.approve()
    await talk.say("sell 1 share of nvda")
    await talk.approve()
    await talk.say("Show my portfolio")
    assert shares_of(talk.results[0], "NVDA") == before + 2


async def test_a_rejected_order_is_not_placed_and_the_reason_is_told() -> None:
    talk = AsyncTalk("finance_agent")
    await talk.say("Show my portfolio")
    before = talk.results
    await talk.say("Buy 2 shares of NVDA")
    assert await talk.reject("too expensive") == (
        "I have not called place_order(symbol=NVDA, side=buy, shares=2). "
        "The call was rejected: too expensive"
    )
    await talk.say("Show my portfolio")
    assert talk.results == before


async def test_an_order_may_be_changed_when_it_is_approved() -> None:
    talk = AsyncTalk("finance_agent")
    await talk.say("Buy 3 shares of NVDA")
    changed = {"symbol": "NVDA", "side": "buy", "shares": 1}
    assert (await talk.approve(arguments=changed)).startswith("Bought 1 NVDA")
    assert ToolStart(id="demo_1_1", name="place_order", arguments=changed) in talk.outputs


@pytest.mark.parametrize("order", ["Buy 999999 shares of MSFT", "Sell 999 MSFT"])
async def test_an_order_that_cannot_be_filled_fails(order: str) -> None:
    talk = AsyncTalk("finance_agent")
    await talk.say(order)
    assert (await talk.approve()).startswith("The tool place_order could not help: ")


async def test_an_unknown_share_is_refused_before_anybody_is_asked() -> None:
    talk = AsyncTalk("finance_agent")
    answer = await talk.say("Buy 3 shares of TSLA")
    assert answer.startswith("The tool place_order could not help: symbol: Input should be 'AAPL'")
    assert isinstance(talk.outputs[-1], TurnEnded)
    assert any(isinstance(output, ToolError) for output in talk.outputs)


async def test_two_orders_in_one_message_wait_together() -> None:
    _, events = await Chat().ask("finance_agent", "Buy 1 AAPL and sell 2 shares of MSFT")
    assert not [event for event in events if isinstance(event, ToolStart)]
    talk = AsyncTalk("finance_agent")
    await talk.say("Buy 1 AAPL and sell 2 shares of MSFT")
    paused = talk.outputs[-1]
    assert isinstance(paused, TurnPaused)
    assert paused.pending == (
        PendingApproval(
            id="demo_1_1",
            tool="place_order",
            tool_name="place_order",
            arguments={"symbol": "AAPL", "side": "buy", "shares": 1},
        ),
        PendingApproval(
            id="demo_1_2",
            tool="place_order",
            tool_name="place_order",
            arguments={"symbol": "MSFT", "side": "sell", "shares": 2},
        ),
    )


PNG = LoadedMedia(type="image/png", data=b"x" * 1234)
PDF = LoadedMedia(type="application/pdf", data=b"x" * 99)


async def test_what_came_with_a_message_is_named() -> None:
    chat = Chat()
    one = "I have received one image/png of 1,234 bytes and cannot look into it."
    two = (
        "I have received 2 files and cannot look into them: "
        "image/png of 1,234 bytes, application/pdf of 99 bytes."
    )
    assert (await chat.ask("analyst", "What is it?", media=(PNG,)))[0] == one
    assert (await chat.ask("analyst", "6 times 7?", media=(PNG, PDF)))[0] == f"{two}\n\n6 * 7 = 42"
    assert (await chat.ask("echo", "Hello", media=(PNG,)))[0] == f"{one}\n\nHello"


async def test_what_came_with_an_earlier_message_is_not_received_again() -> None:
    talk = AsyncTalk("analyst")
    await talk.say("What is it?", media=(PNG,))
    assert await talk.say("6 times 7?") == "6 * 7 = 42"
    assert await talk.say("What was my first question?") == "Your first message was: “What is it?”"


@pytest.mark.parametrize("agent", ["analyst", "docs_assistant", "finance_agent", "echo"])
async def test_three_followups_are_suggested_that_the_agent_understands(agent: str) -> None:
    talk = AsyncTalk(agent)
    await talk.say("Hello, 17 * 23 of AMZN?", generate_followups=True)
    ended = talk.outputs[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.followups is not None
    assert len(set(ended.followups)) == 3
    for suggestion in ended.followups:
        answer = await talk.say(suggestion)
        assert "fits none of them" not in answer


def test_followups_fit_what_was_said() -> None:
    portfolio = ["get_portfolio", "get_quote", "place_order"]
    assert followups("What is the price of MSFT?", "MSFT is at 421.10 USD.", portfolio) == [
        "Sell 1 share of MSFT",
        "Show my portfolio",
        "What is the price of NVDA?",
    ]
    assert followups("What is 17 * 23?", "17 * 23 = 391", ["calculate"])[0] == "What is 391 * 2?"
    answer = "a.md, “Zebras”:\n\n> Striped.\n\nMore about it:\n\n- b.md, “Food”"
    assert followups("zebras", answer, ["search_docs"])[0] == "What do the docs say about Food?"
