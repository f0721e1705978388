"""Files of variables for the functions, such as keys that belong into no template."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from agentrun_local.errors import LocalStackError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Without these as they are, a function would not start, or not find its table.
_RESERVED = re.compile(
    r"AWS_LAMBDA_.*|LAMBDA_(TASK_ROOT|RUNTIME_DIR)|_HANDLER|_X_AMZN_TRACE_ID|(PYTHON)?PATH"
    r"|AWS_ENDPOINT_URL_DYNAMODB"
)


class EnvFileError(LocalStackError):
    """A file of variables cannot be read; the message quotes nothing of it but reserved names."""


def read_env_files(paths: Sequence[Path]) -> dict[str, str]:
    """
    Read files of `NAME=VALUE` lines as python-dotenv does; later ones win.

    Comments, `export`, quotes and values of several lines in quotes are understood. `${NAME}` in a
    value stays as it is: what is written down is what the functions get.

    Raises:
        EnvFileError: A file is missing or not UTF-8, or a line is no assignment; the message names
            file and line.
    """
    return {name: value for path in paths for name, value in _assignments(path)}


def _assignments(path: Path) -> Iterator[tuple[str, str]]:
    # As a file's text: every line ends in a line feed.
    for binding in parse_stream(io.StringIO(_text(path), newline=None)):
        if binding.error or binding.key is not None:
            yield _assignment(binding, f"{path}, line {_line(binding)}")


def _assignment(binding: Binding, place: str) -> tuple[str, str]:
    # Never the line itself: what is wrong with it may be that it is a secret and nothing else.
    name, value = binding.key, binding.value
    if name is None or value is None:
        raise EnvFileError(f"{place}: is not NAME=VALUE.")
    if not _NAME.fullmatch(name):
        raise EnvFileError(
            f"{place}: a variable's name consists of letters, digits and _, a digit not first."
        )
    if _RESERVED.fullmatch(name):
        raise EnvFileError(f"{place}: {name} is set by the local stack itself; remove the line.")
    if "\0" in value:
        raise EnvFileError(f"{place}: the value holds a NUL character.")
    return name, value


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EnvFileError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise EnvFileError(f"{path}, line {line}: is not UTF-8.") from None


def _line(binding: Binding) -> int:
    """Return the line that an assignment begins on; the parser counts blank ones before as its."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + blank.count("\n")
