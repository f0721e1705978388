"""
Results: JSON for programs, columns for people.

JSON escapes control characters by itself, but for those that the pattern names: escaped, they say
the same to a program and nothing to a terminal.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.safe_text import one_line

_GAP = "  "
# DEL, C1, bidirectional controls, and surrogates, which cannot be encoded.
_UNSAFE = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def print_document(value: object) -> None:
    """Print one JSON document over several lines."""
    _write(as_json(value, indent=2))


def print_line(value: object) -> None:
    """Print one JSON object in one line, at once."""
    _write(as_json(value))


def print_columns(
    columns: Mapping[str, int], rows: Iterable[Mapping[str, object]], *, none: str
) -> None:
    """
    Print a heading and rows, each as soon as it is there.

    Args:
        columns: Names of values and their widths; the last value is cut to its width.
        rows: The values; what is missing stays blank.
        none: What to remark if there are no rows; the heading is then left out.
    """
    number = 0
    for number, row in enumerate(rows, start=1):
        if number == 1:
            print_heading(columns)
        _write(_line(columns, row))
    if number == 0:
        remark(none)


def print_heading(columns: Mapping[str, int]) -> None:
    """Print the names of columns."""
    _write(_GAP.join(name.ljust(width) for name, width in columns.items()).rstrip())


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print what is known of one thing, a line for each fact."""
    columns = {"name": 12, "value": 200}
    for name, value in facts:
        _write(_line(columns, {"name": name, "value": value}))


def _line(columns: Mapping[str, int], row: Mapping[str, object]) -> str:
    *names, last = columns
    cells = [one_line(_text(row, name)).ljust(columns[name]) for name in names]
    return _GAP.join([*cells, one_line(_text(row, last), columns[last])]).rstrip()


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(part) for part in value)
    return str(value)


def _write(line: str) -> None:
    print(line, flush=True)


def as_json(value: object, *, indent: int | None = None) -> str:
    """Return JSON that can be shown."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def camel_case(name: str) -> str:
    """Return a name as JSON has it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
