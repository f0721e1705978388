"""The arithmetic of the comparison with other servers; what it finds is for people to read."""

from typing import Any

import pytest

from bench.peers.model_server import read, words
from bench.peers.peer import Piece, Run
from bench.peers.place import Heard
from bench.peers.questions.disconnects import differences
from bench.peers.questions.kills import told
from bench.peers.report import as_markdown

_RESULT = {"role": "tool", "content": "done"}


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("heard", "lost", "doubled"),
    [
        ("w00000 w00001 w00002 ", 0, 0),
        ("w00000 w00002 ", 7, 0),
        ("w00000 w00001 w00001 w00002 w00001 ", 0, 14),
        ("", 21, 0),
    ],
)
def test_what_a_reader_lost_and_what_it_heard_twice_are_counted_in_characters(
    heard: str, lost: int, doubled: int
) -> None:
    assert differences("".join(words(3)), heard) == (lost, doubled)


def test_the_latest_script_of_a_conversation_counts() -> None:
    messages = [_user("[a] act 2.5 say 1 at 0"), _RESULT, _user("[b] act 2.5 say 9 at 20")]
    script, has_result = read(messages)
    assert (script.tag, script.tool, script.hold_s) == ("b", "act", 2.5)
    assert (script.words, script.pace, has_result) == (9, 20, False)
    assert read([*messages, _RESULT])[1]


def test_a_script_is_found_in_a_message_of_several_parts() -> None:
    script, _ = read([_user("x") | {"content": [{"type": "text", "text": "[c] say 2 at 0"}]}])
    assert script.text == "w00000 w00001 "


def test_a_message_that_is_no_script_is_an_error() -> None:
    with pytest.raises(ValueError, match="no message is a script"):
        read([_user("say something")])


def test_a_reader_takes_back_what_the_stream_voids() -> None:
    heard = Heard()
    for piece in (
        Piece(run=Run("1"), cursor="1"),
        Piece("kept ", cursor="2"),
        Piece("voided ", cursor="3"),
        Piece(cursor="4", keeps="2"),
        Piece("said again ", cursor="5"),
    ):
        heard.hear(piece)
    assert heard.text == "kept said again "
    assert (heard.run, heard.cursor) == (Run("1"), "5")


def test_a_record_is_told_in_the_order_of_what_it_said() -> None:
    assert told([(0.1, "RUNNING"), (21.0, "COMPLETED")]) == "RUNNING, then COMPLETED"
    assert told([]) == "no record"


def test_a_peer_without_an_answer_has_an_empty_cell() -> None:
    found = {"A": {"first": "1", "second": "2"}, "B": {"second": "x|y", "third": "3"}}
    assert as_markdown(found).splitlines() == [
        "|  | A | B |",
        "| --- | --- | --- |",
        "| first | 1 |  |",
        "| second | 2 | x/y |",
        "| third |  | 3 |",
    ]
