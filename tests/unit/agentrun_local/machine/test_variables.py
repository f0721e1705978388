"""Files of variables are read as python-dotenv reads them, and faults are named by their line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dotenv import dotenv_values

from agentrun_local.machine.variables import EnvFileError, read_env_files

SECRET = "hunter2-hunter2"
GOOD = """\
# a comment

PLAIN=one
export EXPORTED=two
  INDENTED = three
SINGLE='four # not a comment'
DOUBLE="five\\nlines"
COMMENTED=six # a comment
EMPTY=
SEVERAL="first
second"
NOT_EXPANDED=${PLAIN}-$PLAIN
DOLLARS=pa$$word
EQUALS=a=b==
PLAIN=last
"""
Written = Callable[[str | bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "variables.env"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_is_read_as_python_dotenv_reads_it(written: Written, line_end: str) -> None:
    path = written(GOOD.replace("\n", line_end))
    found = read_env_files([path])
    assert found == dotenv_values(path, interpolate=False)
    assert found["PLAIN"] == "last"
    assert found["NOT_EXPANDED"] == "${PLAIN}-$PLAIN"
    assert (found["EMPTY"], found["EQUALS"]) == ("", "a=b==")


def test_a_byte_order_mark_is_no_part_of_a_name(written: Written) -> None:
    assert read_env_files([written("\ufeffNAME=value\n")]) == {"NAME": "value"}


def test_the_later_file_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("ONE=1\nTWO=1\n")
    second.write_text("TWO=2\n")
    assert read_env_files([first, second]) == {"ONE": "1", "TWO": "2"}
    assert read_env_files([]) == {}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (SECRET, "is not NAME=VALUE"),
        (f"two words={SECRET}", "is not NAME=VALUE"),
        (f"={SECRET}", "is not NAME=VALUE"),
        (f'QUOTED="{SECRET}', "is not NAME=VALUE"),
        (f"QUOTED='{SECRET}' and more", "is not NAME=VALUE"),
        (f"1ST={SECRET}", "a variable's name consists of"),
        (f"da-shed={SECRET}", "a variable's name consists of"),
        (f"NUL={SECRET}\0", "holds a NUL"),
        (f"AWS_LAMBDA_RUNTIME_API={SECRET}", "AWS_LAMBDA_RUNTIME_API is set by the local stack"),
        (f"PYTHONPATH={SECRET}", "PYTHONPATH is set by the local stack"),
        (f"AWS_ENDPOINT_URL_DYNAMODB={SECRET}", "is set by the local stack"),
        (b"NAME=\xff", "is not UTF-8"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_never_quoted(
    written: Written, line: str | bytes, complaint: str
) -> None:
    before = b"GOOD=1\n\n# a comment\n\n"
    path = written(before + (line if isinstance(line, bytes) else line.encode()) + b"\nMORE=1\n")
    with pytest.raises(EnvFileError) as raised:
        read_env_files([path])
    assert str(raised.value).startswith(f"{path}, line 5: ")
    assert complaint in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match=r"Cannot read .*none\.env: No such file"):
        read_env_files([tmp_path / "none.env"])
