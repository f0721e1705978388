"""Text of others does nothing to a terminal but appear on it."""

import json

import pytest

from agentrun_cli.terminal.documents import as_json, print_columns
from agentrun_cli.terminal.safe_text import REPLACEMENT, one_line, safe

ATTACKS = {
    "clears the screen": "\x1b[2J",
    "sets the title": "\x1b]0;root@host\x07",
    "writes to the clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "the same with C1": "\x9b2J\x9d0;title\x9c",
    "goes back over a line": "approve\b\b\b\b\b\b\breject",
    "rings": "\x07",
    "turns the text around": "\u202etcejer\u2066",
    "is deleted": "\x7f",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_control_character_reaches_a_terminal(attack: str) -> None:
    shown = safe(f"a{attack}z")
    assert shown.startswith("a")
    assert shown.endswith("z")
    assert all(character.isprintable() for character in shown)
    assert REPLACEMENT in shown


def test_lines_tabs_and_every_other_character_stay() -> None:
    assert safe("a\tb\nc é 漢 👩‍🚀 \u200f") == "a\tb\nc é 漢 👩‍🚀 \u200f"


def test_a_line_cannot_be_overwritten_by_what_follows_a_carriage_return() -> None:
    assert safe("reject\rapprove\r\n") == "rejectapprove\n"


def test_the_pieces_of_a_stream_are_as_safe_as_the_whole() -> None:
    text = "".join(ATTACKS.values())
    assert "".join(safe(character) for character in text) == safe(text)


def test_a_cell_is_one_line_of_its_width() -> None:
    assert one_line(" a\n\tb  c\x1b[1m") == f"a b c{REPLACEMENT}[1m"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_json_says_the_same_to_a_program_and_nothing_to_a_terminal(attack: str) -> None:
    text = as_json({"output": f"é{attack}"})
    assert text.isprintable()
    assert "é" in text
    assert json.loads(text) == {"output": f"é{attack}"}


def test_rows_stand_below_their_heading(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"id": "1", "tools": ["a", "b"]},
        {"id": "22", "name": "x\x1byz"},
    ]
    print_columns({"id": 3, "tools": 5, "name": 3}, rows, none="")
    assert capsys.readouterr().out == (
        f"id   tools  name\n1    a, b\n22          x{REPLACEMENT}…\n"
    )


def test_without_rows_there_is_no_heading_and_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns({"id": 3, "name": 3}, (), none="no runs")
    assert capsys.readouterr() == ("", "no runs\n")
