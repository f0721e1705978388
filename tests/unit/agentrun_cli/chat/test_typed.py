"""Messages of one line and of many."""

from collections.abc import Sequence

import pytest

from agentrun_cli.chat.typed import followup_of, read_message


def message(*lines: str) -> str:
    left = list(lines)

    def asker(question: str, prefill: str = "") -> str:
        return left.pop(0)

    typed = read_message(asker)
    assert left == []
    return typed


@pytest.mark.parametrize(
    ("lines", "typed"),
    [
        (["one"], "one"),
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (['"""', "one", "", 'two"""'], "one\n\ntwo"),
        (['"""one', "two", '"""'], "one\ntwo"),
        (['"""one"""'], "one"),
        (["pasted\nlines"], "pasted\nlines"),
    ],
)
def test_a_message_may_have_many_lines(lines: Sequence[str], typed: str) -> None:
    assert message(*lines) == typed


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("1", "a"),
        (" 2 ", "b"),
        ("3", None),
        ("0", None),
        ("-1", None),
        ("1 + 1", None),
        ("²", None),
    ],
)
def test_the_number_of_a_followup_asks_it(typed: str, asked: str | None) -> None:
    assert followup_of(typed, ["a", "b"]) == asked
