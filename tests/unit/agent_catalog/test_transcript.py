"""What a user sees of a turn, from what the engine remembers of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from agent_catalog.transcript import transcript
from agentrun.domain.conversations import PastTurn

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CALLED, ANSWERED, ENDED = (BEGUN + timedelta(seconds=number) for number in (1, 2, 3))
IMAGE = BinaryContent(data=b"bytes", media_type="image/png")


def a_turn(messages: list[ModelMessage] | str | None = None, **changes: Any) -> PastTurn:
    if isinstance(messages, list):
        messages = ModelMessagesTypeAdapter.dump_json(messages).decode()
    fields = {"run_id": "run-1", "input": "in", "output": "out", "messages": messages}
    return PastTurn(**{**fields, "created_at": BEGUN, "updated_at": ENDED, **changes})


def said(messages: list[ModelMessage]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in transcript(a_turn(messages))]


def returned(content: object, outcome: Any = "success") -> list[tuple[str, str]]:
    part = ToolReturnPart("calc", content, "id-1", outcome=outcome)
    return said([ModelRequest(parts=[part])])


def test_a_plain_turn_is_its_input_and_its_output() -> None:
    question, answer = transcript(a_turn())
    assert (question.role, question.content, question.created_at) == ("user", "in", BEGUN)
    assert (answer.role, answer.content, answer.created_at) == ("assistant", "out", ENDED)
    assert question.run_id == answer.run_id == "run-1"


@pytest.mark.parametrize(("output", "roles"), [("so f", ["user", "assistant"]), ("", ["user"])])
def test_a_turn_that_was_cut_off_is_what_it_had(output: str, roles: list[str]) -> None:
    messages = transcript(a_turn(output=output, is_whole=False))
    assert [message.role for message in messages] == roles


def test_a_turn_with_tools_is_told_in_order_and_at_its_times() -> None:
    messages: list[ModelMessage] = [
        ModelRequest(parts=[SystemPromptPart("secret"), UserPromptPart("2 + 2?")]),
        ModelResponse(
            parts=[
                ThinkingPart("hm"),
                TextPart("Let me "),
                ToolCallPart("calc", {"x": 1}, "id-1"),
                TextPart("see."),
            ],
            timestamp=CALLED,
        ),
        ModelRequest(parts=[ToolReturnPart("calc", 4, "id-1", timestamp=ANSWERED)]),
        ModelResponse(parts=[TextPart("It is 4.")], timestamp=ENDED),
    ]
    told = transcript(a_turn(messages))
    assert [(message.role, message.content, message.created_at) for message in told] == [
        ("user", "2 + 2?", BEGUN),
        ("assistant", "Let me see.", CALLED),
        ("tool", "4", ANSWERED),
        ("assistant", "It is 4.", ENDED),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("as it is \u2028\x00🙂", "as it is \u2028\x00🙂"),
        ("", ""),
        (None, "null"),
        ({"é": [1, 2.5, True]}, '{"é":[1,2.5,true]}'),
        (["seen", IMAGE], '["seen","[image/png]"]'),
    ],
)
def test_a_tools_result_is_text(content: object, text: str) -> None:
    assert returned(content) == [("tool", text)]


@pytest.mark.parametrize("outcome", ["denied", "failed", "interrupted", "retried"])
def test_a_call_without_a_result_is_told_as_well(outcome: str) -> None:
    assert returned("Too expensive.", outcome) == [("tool", "Too expensive.")]


def test_an_older_form_of_a_failed_call_is_read_and_the_engines_own_feedback_is_not() -> None:
    retries = [
        {"part_kind": "retry-prompt", "content": "No such unit.", "tool_name": "convert"},
        {"part_kind": "retry-prompt", "content": "Answer with text.", "tool_name": None},
        {"part_kind": "retry-feedback", "content": "Answer with text."},
    ]
    dumped = json.dumps([{"kind": "request", "parts": retries}])
    (message,) = transcript(a_turn(dumped))
    assert (message.role, message.content) == ("tool", "No such unit.")


def test_media_is_named_not_shown() -> None:
    prompt: list[UserContent] = [
        "What is this?",
        TextContent(content="And that?"),
        IMAGE,
        ImageUrl(url="https://example.com/a.png"),
        CachePoint(),
        DocumentUrl(url="https://example.com/a", media_type="application/pdf"),
    ]
    messages: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart(prompt)]),
        ModelResponse(parts=[TextPart("This: "), FilePart(content=IMAGE)]),
    ]
    assert said(messages) == [
        ("user", "What is this?\nAnd that?\n[image/png]\n[image/png]\n[application/pdf]"),
        ("assistant", "This: [image/png]"),
    ]


@pytest.mark.parametrize("messages", ["", "{}", '"x"', "[1]", '[{"parts": [{}]}]', "not json"])
def test_messages_of_another_engine_leave_input_and_output(messages: str) -> None:
    told = transcript(a_turn(messages))
    assert [message.content for message in told] == ["in", "out"]
