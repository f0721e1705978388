"""What becomes of messages on their way to a provider."""

from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai import ToolDefinition
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel

from agent_catalog.models.sendable import EMPTY, sendable

ADD = ToolDefinition(name="add", parameters_json_schema={"type": "object"})
WITH_TOOLS = ModelRequestParameters(function_tools=[ADD])
ANY_MODEL = TestModel()
IMAGE = BinaryContent(b"\x89PNG", media_type="image/png")


class Strict(FunctionModel):
    """A model of a provider with rules for ids."""

    @property
    def system(self) -> str:
        return "bedrock"


class OpenAi(FunctionModel):
    """A model of the provider with the shortest ids."""

    @property
    def system(self) -> str:
        return "openai"


OPENAI = OpenAi(lambda *_: ModelResponse(parts=[]))
STRICT = Strict(lambda *_: ModelResponse(parts=[]))


def asked(*parts: Any) -> ModelRequest:
    return ModelRequest(parts=[UserPromptPart(p) if isinstance(p, str) else p for p in parts])


def said(*parts: Any) -> ModelResponse:
    return ModelResponse(parts=[TextPart(p) if isinstance(p, str) else p for p in parts])


def call(call_id: str = "t1", **arguments: Any) -> ToolCallPart:
    return ToolCallPart("add", arguments, call_id)


def result(call_id: str = "t1", content: Any = 3) -> ToolReturnPart:
    return ToolReturnPart("add", content, call_id)


def sent(*messages: ModelMessage, model: Model = ANY_MODEL) -> list[list[Any]]:
    """Return what goes out, as the contents of parts, calls and results by their ids."""
    return [
        [getattr(part, "tool_call_id", None) or getattr(part, "content", None) for part in m.parts]
        for m in sendable(messages, model, WITH_TOOLS)
    ]


def test_an_answer_that_says_nothing_is_left_out_and_its_neighbours_are_joined() -> None:
    for empty in (said(), said("\n"), said(ThinkingPart(""))):
        assert sent(asked("a"), empty, asked("b")) == [["a", "b"]]


def test_answers_that_follow_each_other_are_one() -> None:
    assert sent(asked("a"), said("b"), said("c"), asked("d")) == [["a"], ["b", "c"], ["d"]]


@pytest.mark.parametrize("blank", ["", " ", "\u2003\n"])
def test_a_question_that_says_nothing_leaves_a_place_holder(blank: str) -> None:
    assert sent(asked("a"), said("b"), asked(blank)) == [["a"], ["b"], [EMPTY]]
    assert sent(asked(blank), said("b"), asked("c")) == [[EMPTY], ["b"], ["c"]]


def test_the_last_word_is_not_the_models() -> None:
    assert sent(asked("a"), said("b ")) == [["a"], ["b "], [EMPTY]]
    assert sent() == [[EMPTY]]


def test_a_second_result_of_a_call_is_left_out() -> None:
    messages = (asked("a"), said(call()), asked(result(), result(content=4)), said("b"), asked("c"))
    assert sent(*messages)[2] == ["t1"]
    kept = sendable(messages, ANY_MODEL, WITH_TOOLS)[2].parts[0]
    assert isinstance(kept, ToolReturnPart)
    assert kept.content == 3


def test_a_result_without_a_call_is_left_out() -> None:
    assert sent(asked("a"), said("b"), asked(result("t9"), "c")) == [["a"], ["b"], ["c"]]


def test_calls_of_earlier_turns_that_share_an_id_are_told_apart_and_keep_their_results() -> None:
    turn = (asked("a"), said(call()), asked(result()), said("b"))
    assert sent(*turn, *turn, asked("c")) == [
        *([["a"], ["t1"], ["t1"], ["b"]]),
        *([["a"], ["t1-2"], ["t1-2"], ["b"]]),
        ["c"],
    ]


def test_ids_that_become_alike_are_told_apart() -> None:
    calls = [call("a.b"), call("a:b"), call("a_b")]
    results = [result("a.b"), result("a:b"), result("a_b")]
    ids = ["a_b", "a_b-2", "a_b-3"]
    assert sent(asked("a"), said(*calls), asked(*results), model=STRICT)[1:] == [ids, ids]
    # A provider without rules gets its own ids back.
    own = ["a.b", "a:b", "a_b"]
    assert sent(asked("a"), said(*calls), asked(*results))[1:] == [own, own]


def test_an_id_that_is_too_long_is_cut_and_stays_unlike_others() -> None:
    calls = [call("x" * 50 + end) for end in "ab"]
    results = [result("x" * 50 + end) for end in "ab"]
    (_, ids, answered) = sent(asked("a"), said(*calls), asked(*results), model=OPENAI)
    assert ids == answered
    assert len(set(ids)) == 2
    assert {len(call_id) for call_id in ids} == {40}


def test_a_file_that_a_tool_returned_is_sent_as_it_is() -> None:
    messages = (asked("a"), said(call()), asked(result(content=["\ud83d", "", IMAGE])))
    part = sendable(messages, ANY_MODEL, WITH_TOOLS)[2].parts[0]
    assert isinstance(part, ToolReturnPart)
    assert part.content == ["\ufffd", EMPTY, IMAGE]


def test_what_a_gone_tool_did_stands_where_its_result_stood() -> None:
    failed = ToolReturnPart("add", "No.", "t2", outcome="failed")
    calls = [call("t1", left=1), call("t2", left=2)]
    messages = (asked("a"), said("b", *calls), asked(result(content=[IMAGE]), failed, "c"))
    first, second = (
        '{"tool":"add","arguments":{"left":1},"result":["[image/png, 4 bytes]"]}',
        '{"tool":"add","arguments":{"left":2},"error":"No."}',
    )
    contents = [
        [getattr(part, "content", None) for part in message.parts]
        for message in sendable(messages, ANY_MODEL, ModelRequestParameters())
    ]
    tag = "earlier_tool_call"
    assert contents == [["a"], ["b"], [f"<{tag}>{first}</{tag}>", f"<{tag}>{second}</{tag}>", "c"]]


TEXTS = st.sampled_from(["", " ", "x", "\ud83d", "\ude00y"])
IDS = st.sampled_from(["t1", "t2", "a.b", ""])
ARGS = st.sampled_from(["", "{}", "[1]", '{"a": NaN}', '{"a": "\\ud83d"}', "\ud83d"])
SAID = st.lists(
    st.builds(TextPart, TEXTS)
    | st.builds(ThinkingPart, TEXTS)
    | st.builds(lambda a, i: ToolCallPart("add", a, i), ARGS, IDS),
    max_size=4,
).map(lambda parts: ModelResponse(parts=parts))
ASKED = st.lists(
    st.builds(UserPromptPart, TEXTS)
    | st.builds(lambda c, i: ToolReturnPart("add", c, i), TEXTS, IDS),
    max_size=4,
).map(lambda parts: ModelRequest(parts=parts))


@pytest.mark.parametrize("parameters", [WITH_TOOLS, ModelRequestParameters()])
@given(messages=st.lists(SAID | ASKED, max_size=8))
def test_any_messages_become_legal_ones_once_and_for_all(
    parameters: ModelRequestParameters, messages: list[ModelMessage]
) -> None:
    before = deepcopy(messages)
    fit = sendable(messages, STRICT, parameters)
    assert messages == before
    assert contents(sendable(fit, STRICT, parameters)) == contents(fit)
    assert all(message.parts for message in fit)
    assert isinstance(fit[-1], ModelRequest)
    kinds = [message.kind for message in fit]
    assert all(one != other for one, other in pairwise(kinds))
    for index, message in enumerate(fit):
        if isinstance(message, ModelResponse):
            made = sorted(call.tool_call_id for call in message.tool_calls)
            parts = fit[index + 1].parts
            assert sorted(p.tool_call_id for p in parts if isinstance(p, ToolReturnPart)) == made


def contents(messages: list[ModelMessage]) -> list[list[Any]]:
    """Return all but the times."""
    fields = ("part_kind", "content", "tool_name", "args", "tool_call_id")
    return [[[getattr(p, f, None) for f in fields] for p in m.parts] for m in messages]
