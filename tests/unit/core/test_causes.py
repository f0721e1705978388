"""What is said of an exception, where it may quote nobody and where it may."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrun.causes import described, first_cause, in_full, plain_text
from agentrun.domain.errors import EngineError, StoreUnavailableError

SECRET = "my-name-is-zq1"


class RefusedError(Exception):
    """As HTTP clients raise."""

    def __init__(self, code: object) -> None:
        super().__init__(SECRET)
        self.status_code = 400
        self.code = code


def raised(fail: Callable[[], object]) -> Exception:
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error
    raise AssertionError("nothing was raised")


def fail_in_a_chain() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise EngineError("The agent has failed.") from error


def fail_in_a_group() -> None:
    raise ExceptionGroup(SECRET, [KeyError(SECRET), StoreUnavailableError("The store is busy.")])


def import_a_broken_file(folder: Path) -> None:
    path = folder / "tool.py"
    path.write_text("def (:\n")
    compile(path.read_text(), str(path), "exec")


def test_the_first_cause_is_one_line_with_its_place() -> None:
    error = raised(fail_in_a_chain)
    said = first_cause(error, str)
    assert said.startswith(f"ValueError: invalid literal for int() with base 10: '{SECRET}' (")
    assert re.search(r"/test_causes\.py:\d+\)$", said)
    assert first_cause(error, plain_text).startswith("ValueError (")


def test_the_whole_chain_is_described_the_first_cause_first() -> None:
    said = described(raised(fail_in_a_chain))
    assert said.index("builtins.ValueError") < said.index("EngineError: The agent has failed.")
    assert SECRET not in said


def test_what_a_group_holds_is_described() -> None:
    error = raised(fail_in_a_group)
    said = described(error)
    for part in ("ExceptionGroup", "builtins.KeyError", "StoreUnavailableError: The store is busy"):
        assert part in said
    assert SECRET not in said
    assert first_cause(error, plain_text).startswith("KeyError")


def test_of_a_missing_import_it_says_what_is_missing() -> None:
    said = first_cause(raised(lambda: __import__("not_there")), plain_text)
    assert said.startswith("ModuleNotFoundError: No module named 'not_there' (")


def test_of_a_broken_source_file_it_says_the_line(tmp_path: Path) -> None:
    said = first_cause(raised(lambda: import_a_broken_file(tmp_path)), plain_text)
    assert said.startswith("SyntaxError: invalid syntax (")
    assert said.count(f"{tmp_path / 'tool.py'}:1") == 1


def test_of_a_text_that_was_parsed_nothing_is_said() -> None:
    error = raised(lambda: ast.parse(f"'{SECRET}' +"))
    assert plain_text(error) == ""
    assert SECRET not in described(error)


@pytest.mark.parametrize(
    ("code", "said"),
    [("rate_limit", "status 400, code rate_limit"), (None, "status 400"), (SECRET * 9, "status 4")],
)
def test_of_a_refusal_it_says_status_and_code(code: object, said: str) -> None:
    text = plain_text(RefusedError(code))
    assert text.startswith(said)
    assert SECRET not in text


def test_in_full_shows_texts_and_of_libraries_the_last_frame_only() -> None:
    said = in_full(raised(lambda: ast.literal_eval("call(")))
    assert "SyntaxError: '(' was never closed" in said
    assert said.count('ast.py", line') == 1
    assert "test_causes.py" in said
    assert f"ValueError: invalid literal for int() with base 10: '{SECRET}'" in in_full(
        raised(fail_in_a_chain)
    )


def test_an_endless_chain_ends() -> None:
    first = error = ValueError("0")
    for number in range(50):
        error.__cause__ = ValueError(str(number))
        error = error.__cause__
    assert described(first).count("ValueError") == 10
