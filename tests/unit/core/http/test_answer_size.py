"""How an answer is measured, and how it is cut to what Lambda takes."""

import json
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import to_json as lambda_json  # type: ignore[import-untyped] # no stubs
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from agentrun.domain.events import ContentDelta
from agentrun.domain.requests import RunRequest
from agentrun.http.answer_size import (
    LEAST_CUT_BYTES,
    MAX_ANSWER_BYTES,
    AnswerTooLargeError,
    as_array,
    cut,
    fitted,
    newest,
    sent_bytes,
    text_bytes,
    whole,
)
from agentrun.http.run_routes import result_answer
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, Rig

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@pytest.fixture(autouse=True)
def on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")


def written_by_lambda(body: bytes) -> int:
    """Measure what a body adds to a whole answer, as awslambdaric writes it."""
    empty, full = ({"statusCode": 200, "body": text} for text in ("", body.decode()))
    return len(lambda_json(full).encode()) - len(lambda_json(empty).encode())


def test_every_character_has_the_size_that_lambda_writes() -> None:
    characters = [chr(code) for code in (*range(0x180), 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0x1F600)]
    for character in characters:
        assert sent_bytes(to_json(character)) == written_by_lambda(to_json(character))
    assert [text_bytes(character) for character in '"\\\n\x01aé🙂'] == [4, 4, 3, 7, 1, 2, 4]


@given(text=TEXTS, room_bytes=st.integers(0, 400))
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str, room_bytes: int) -> None:
    kept = cut(text, room_bytes)
    assert text.startswith(kept)
    assert text_bytes(kept) <= room_bytes
    assert kept == text or text_bytes(text[: len(kept) + 1]) > room_bytes


def test_a_cut_goes_beyond_the_blocks_that_it_measures() -> None:
    text = "é" * 200_000
    assert len(cut(text, 300_001)) == 150_000
    assert cut(text, 400_000) == text


@given(
    texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5),
    room_bytes=st.integers(0, 4_000),
)
def test_bodies_fit_together_or_are_refused(texts: list[tuple[str, str]], room_bytes: int) -> None:
    bodies = [{"id": "run", "input": said, "output": answer} for said, answer in texts]
    try:
        written = fitted(bodies, room_bytes)
    except AnswerTooLargeError:
        assert room_bytes < 250 * len(texts)
        return
    assert sent_bytes(as_array(written)) <= room_bytes
    for body, shown in zip(bodies, map(json.loads, written), strict=True):
        for name in ("input", "output"):
            assert body[name].startswith(shown[name])
            assert shown.get(f"{name}Truncated", False) == (shown[name] != body[name])


def test_the_longest_texts_are_cut_and_the_short_ones_stay_whole() -> None:
    bodies = [
        {"input": "short", "output": "x" * 9_000},
        {"input": "y" * 2_000, "output": '"' * 900},
    ]
    first, second = map(json.loads, fitted(bodies, 8_000))
    assert first["input"] == "short"
    assert second["input"] == "y" * 2_000
    assert len(first["output"]) == pytest.approx(4 * len(second["output"]), abs=4)
    assert (first["outputTruncated"], second["outputTruncated"]) == (True, True)


def test_the_largest_actions_go_where_cutting_texts_is_not_enough() -> None:
    bodies: list[dict[str, Any]] = [
        {"id": str(size), "output": "said", "requiredAction": {"arguments": "a" * size}}
        for size in (10, 5_000, 3_000)
    ]
    shown = [json.loads(body) for body in fitted(bodies, 4_000)]
    assert ["requiredAction" in body for body in shown] == [True, False, True]
    assert [body["output"] for body in shown] == ["said"] * 3


def test_what_has_nothing_to_cut_and_does_not_fit_is_an_error() -> None:
    assert json.loads(whole(["x"])) == ["x"]
    with pytest.raises(AnswerTooLargeError):
        whole(['"' * 2_000_000])
    with pytest.raises(AnswerTooLargeError):
        fitted([{"errorMessage": "x" * 2_000, "output": "y"}], 1_000)


def test_of_a_list_the_newest_are_there_and_the_first_that_does_not_fit_is_cut() -> None:
    bodies = [{"content": letter * 100_000} for letter in "abcd"]
    shown = json.loads(newest(bodies, 280_000))
    assert [body["content"][0] for body in shown] == ["b", "c", "d"]
    assert shown[0]["contentTruncated"] is True
    assert LEAST_CUT_BYTES < len(shown[0]["content"]) < 100_000
    assert shown[1:] == bodies[2:]
    assert json.loads(newest(bodies, 230_000)) == bodies[2:]
    assert json.loads(newest([{"content": "a" * 300_000}], 100_000))[0]["contentTruncated"]


def test_an_entry_of_a_list_that_cannot_be_cut_is_left_out_with_all_before_it() -> None:
    bodies = [{"content": "first"}, {"errorMessage": "x" * 100_000}, {"content": "last"}]
    assert json.loads(newest(bodies, 90_000)) == [{"content": "last"}]


@pytest.mark.anyio
async def test_a_result_that_is_streamed_has_the_whole_answer() -> None:
    rig, text = Rig(), '"' * (4 * 1024 * 1024)
    launcher = rig.launcher(ScriptedEngine([ContentDelta(text=text)]))
    stream = await launcher.begin(ANA, "echo", RunRequest(message="hello"), deadline=None)
    body = bytes((await result_answer(stream)).body)
    assert sent_bytes(body) > len(body) > MAX_ANSWER_BYTES
    assert json.loads(body)["content"] == text
