"""Three texts become one, and no change of either side is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrun_project.merging import conflict_lines, merge, unsettled_lines

BASE = "a\nb\nc\nd\ne\n"
TEXTS = st.lists(st.sampled_from("abcd"), max_size=12).map(
    lambda lines: "".join(f"{x}\n" for x in lines)
)


def merged(ours: str, theirs: str, base: str = BASE) -> str:
    result = merge(base, ours, theirs, "2.0")
    assert result.conflicts == 0
    return result.text


def test_changes_of_both_sides_are_there() -> None:
    assert merged("A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n") == "A\nb\nc\nd\nE\n"
    assert merged("a\nb\nc\nd\ne\nmine\n", "new\na\nb\nc\nd\ne\n") == "new\na\nb\nc\nd\ne\nmine\n"


def test_what_one_side_removed_and_the_other_left_is_gone() -> None:
    assert merged("a\nc\nd\ne\n", BASE) == merged(BASE, "a\nc\nd\ne\n") == "a\nc\nd\ne\n"


def test_a_conflict_has_both_and_the_rest_is_merged() -> None:
    result = merge(BASE, "a\nmine\nc\nd\ne\n", "a\nnew\nc\nd\nE\n", "2.0")
    assert result.conflicts == 1
    assert result.text == (
        "a\n<<<<<<< yours\nmine\n=======\nnew\n>>>>>>> agentrun-serverless 2.0\nc\nd\nE\n"
    )
    assert conflict_lines(result.text) == [2]


@pytest.mark.parametrize(
    ("left", "lines"),
    [
        ("a\n<<<<<<< yours\nb\n=======\nc\n>>>>>>> agentrun-serverless 2.0\n", [2]),
        ("b\n=======\nc\n>>>>>>> agentrun-serverless 2.0\n=======\n", [2, 5]),
        ("b\nc\n>>>>>>> agentrun-serverless 2.0\nd\n<<<<<<< yours\n", [3, 5]),
        ("a\n========\n# =======\n", []),
    ],
)
def test_any_mark_that_is_left_is_a_conflict(left: str, lines: list[int]) -> None:
    assert unsettled_lines(left) == lines


def test_a_text_without_a_last_line_end_can_be_in_conflict() -> None:
    result = merge("a", "b", "c", "2.0")
    assert result.text.splitlines()[1:4] == ["b", "=======", "c"]


@given(base=TEXTS, text=TEXTS)
def test_where_one_side_has_changed_nothing_the_other_wins(base: str, text: str) -> None:
    assert merged(text, base, base) == merged(base, text, base) == merged(text, text, base) == text


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to compare with")
def test_where_git_sees_no_conflict_the_text_is_gits(tmp_path: Path) -> None:
    base = [f"{n}\n" for n in range(40)]
    ours, theirs = base.copy(), base.copy()
    ours[3:5], ours[20:20] = ["mine\n"], ["more\n", "of mine\n"]
    theirs[10:14], theirs[30], theirs[39:] = [], "new\n", []
    for name, lines in (("ours", ours), ("base", base), ("theirs", theirs)):
        (tmp_path / name).write_text("".join(lines))
    command = ["git", "merge-file", "-p", "ours", "base", "theirs"]
    git = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert merged("".join(ours), "".join(theirs), "".join(base)) == git.stdout
