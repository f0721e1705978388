"""What a turn leaves for the next ones, and what they are shown of it."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, FunctionModel

from agent_catalog.agent_file import History
from agent_catalog.running.engine import PydanticAiEngine
from agent_catalog.running.history import (
    for_later_turns,
    loaded,
    messages_of,
    to_messages,
    tool_results,
)
from agentrun.domain.conversations import PastTurn
from agentrun.domain.media import LoadedMedia
from tests.runs import AT
from tests.unit.agent_catalog.conftest import Rig, RigFor, Watched, calling, silent

pytestmark = pytest.mark.anyio

AMPLE = History()


def turn(text: str = "question", answer: str = "answer", **fields: Any) -> PastTurn:
    return PastTurn(
        run_id="run-0", input=text, output=answer, created_at=AT, updated_at=AT, **fields
    )


def shown(messages: Sequence[ModelMessage]) -> list[object]:
    parts = (part for message in messages for part in message.parts)
    return [getattr(part, "content", None) for part in parts]


async def past(rig: Rig, message: str = "go", **fields: Any) -> PastTurn:
    await rig.run(message, **fields)
    return turn(message, "done", messages=rig.ended.messages)


async def seen_by_model(history: Sequence[PastTurn], rig_for: RigFor) -> list[ModelMessage]:
    model = Watched(silent)
    await rig_for(model).run("and now?", history=tuple(history))
    return model.seen[0]


async def test_a_plain_turn_leaves_nothing_but_its_two_texts(rig_for: RigFor) -> None:
    async def thoughtful(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
        yield {0: DeltaThinkingPart(content="Hm")}
        yield "one "
        yield "two"

    rig = rig_for(thoughtful)
    await rig.run("plain")
    assert rig.ended.messages is None
    messages = await seen_by_model([turn("plain", "one two")], rig_for)
    assert shown(messages) == ["plain", "one two", "and now?"]


async def test_a_turn_with_tools_is_shown_as_it_was(rig_for: RigFor) -> None:
    earlier = await past(rig_for(calling(("add", {"left": 2, "right": 3}))))
    messages = await seen_by_model([earlier], rig_for)
    assert [type(message) for message in messages] == [
        ModelRequest,
        ModelResponse,
        ModelRequest,
        ModelResponse,
        ModelRequest,
    ]
    assert shown(messages) == ["go", None, 5, "done", "and now?"]


async def test_instructions_and_figures_are_not_left_for_later(rig_for: RigFor) -> None:
    earlier = await past(rig_for(calling(("add", {"left": 2, "right": 3}))))
    kept = {key for message in json.loads(earlier.messages or "") for key in message}
    assert kept == {"parts", "kind", "timestamp", "state", "model_name"}
    assert "terse" not in (earlier.messages or "")


async def test_files_are_left_as_their_type_and_size(rig_for: RigFor) -> None:
    image = LoadedMedia(type="image/png", data=b"x" * 1234)
    earlier = await past(rig_for(silent), "look", media=(image,))
    messages = await seen_by_model([earlier], rig_for)
    assert shown(messages) == [["look", "[image/png, 1234 bytes]"], "ok", "and now?"]


def test_files_of_tools_and_models_and_reasoning_are_left_out_too() -> None:
    file = BinaryContent(b"abc", media_type="application/pdf")
    kept = for_later_turns(
        [
            ModelRequest(parts=[UserPromptPart("go")]),
            ModelResponse(
                parts=[ThinkingPart("secret", signature="s"), ToolCallPart("t", {}, "1")]
            ),
            ModelRequest(parts=[ToolReturnPart("t", {"files": [file]}, "1")]),
            ModelResponse(parts=[ThinkingPart("nothing else")]),
            ModelRequest(parts=[UserPromptPart("go on")]),
            ModelResponse(parts=[FilePart(file), TextPart("here")]),
        ]
    )
    assert kept is not None
    assert all(message.parts for message in loaded(kept))
    assert shown(loaded(kept)) == [
        "go",
        None,
        {"files": ["[application/pdf, 3 bytes]"]},
        "go on",
        "[application/pdf, 3 bytes]",
        "here",
    ]


@pytest.mark.parametrize(
    ("answer", "shown_answer"),
    [
        ("I was say", "I was say\n\n[This answer was cut off.]"),
        ("", "[There is no answer: the run broke off.]"),
        (" \n", "[There is no answer: the run broke off.]"),
    ],
)
def test_an_answer_that_is_not_whole_says_so(answer: str, shown_answer: str) -> None:
    messages = messages_of(turn("question", answer, is_whole=False))
    assert [type(message) for message in messages] == [ModelRequest, ModelResponse]
    assert shown(messages) == ["question", shown_answer]


CALL = {"part_kind": "tool-call", "tool_name": "t", "args": {}, "tool_call_id": "1"}
PROMPT = {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "x"}]}


@pytest.mark.parametrize(
    "messages",
    [
        "",
        "not JSON",
        "[]",
        '[{"kind": "of another version"}]',
        json.dumps([PROMPT]),
        json.dumps([PROMPT, {"kind": "response", "parts": [CALL]}]),
        json.dumps([{"kind": "response", "parts": [{"part_kind": "text", "content": "x"}]}]),
    ],
)
def test_messages_that_cannot_stand_in_a_history_give_way_to_the_texts(messages: str) -> None:
    assert shown(messages_of(turn(messages=messages))) == ["question", "answer"]


def test_the_newest_turns_are_shown_as_many_as_the_agent_wants() -> None:
    history = [turn(str(number), "") for number in range(5)]
    assert shown(to_messages(history, History(turns=2)))[::2] == ["3", "4"]
    assert to_messages(history, History(turns=0)) == []
    assert shown(to_messages(history, AMPLE))[::2] == ["0", "1", "2", "3", "4"]


def test_turns_are_shown_whole_or_not_at_all_and_none_beyond_a_gap() -> None:
    history = [turn("1", "a"), turn("2" * 50, "b" * 50), turn("3", "c")]
    assert shown(to_messages(history, History(characters=101))) == ["3", "c"]
    assert shown(to_messages(history, History(characters=102)))[0] == "2" * 50
    assert to_messages(history, History(characters=1)) == []


def test_half_of_the_models_window_is_the_most_that_is_shown() -> None:
    history = [turn("x" * 100, "y" * 100) for _ in range(10)]
    assert len(to_messages(history, AMPLE, context_window=200)) == 4
    assert len(to_messages(history, History(characters=200), context_window=200)) == 2
    assert len(to_messages(history, AMPLE, context_window=1_000_000)) == 20


@given(
    st.lists(st.tuples(st.text(), st.text(), st.booleans()), max_size=8),
    st.integers(0, 9),
    st.integers(0, 60),
)
def test_roles_alternate_and_no_limit_is_exceeded(
    said: list[tuple[str, str, bool]], turns: int, characters: int
) -> None:
    history = [turn(question, answer, is_whole=whole) for question, answer, whole in said]
    messages = to_messages(history, History(turns=turns, characters=characters))
    assert [type(message) for message in messages] == [ModelRequest, ModelResponse] * (
        len(messages) // 2
    )
    kept = history[len(history) - len(messages) // 2 :]
    assert len(kept) <= turns
    assert sum(len(each.input) + len(each.output) for each in kept) <= characters


async def test_the_models_own_window_is_asked_for(rig_for: RigFor) -> None:
    model = Watched(silent)
    rig = rig_for(model)
    small = FunctionModel(stream_function=model, profile={"context_window": 100})
    rig.engine = PydanticAiEngine(rig.catalog, lambda _: small)
    await rig.run(history=tuple(turn("x" * 100, "y" * 50) for _ in range(10)))
    assert len(model.seen[0]) == 3


async def test_results_of_all_turns_are_there_for_tools_also_of_those_not_shown(
    rig_for: RigFor,
) -> None:
    earlier = await past(
        rig_for(calling(("add", {"left": 2, "right": 3}), ("refuse", {"reason": ""})))
    )
    latest = loaded(earlier.messages or "")
    assert list(tool_results([earlier, turn()], latest)) == [("add", 5), ("add", 5)]
