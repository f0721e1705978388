"""The order in which workers take the tests' files."""

from dataclasses import dataclass
from pathlib import Path

from tests.order import LONG, TESTS, in_order


@dataclass(frozen=True)
class OneTest:
    path: Path
    number: int


def ordered(*names: str) -> list[str]:
    """Order two tests of each file; return the files of all."""
    tests = [OneTest(TESTS / name, number) for number in range(2) for name in names]
    found = in_order(tests)
    assert sorted(found, key=str) == sorted(tests, key=str)
    return [one.path.relative_to(TESTS).as_posix() for one in found]


def test_long_files_come_first_and_the_tests_of_a_file_together() -> None:
    last, first = LONG[1], LONG[0]
    assert ordered("unit/a.py", last, "unit/b.py", first) == [
        *(first, first, last, last),
        *("unit/a.py", "unit/a.py", "unit/b.py", "unit/b.py"),
    ]


def test_what_waits_is_spread_among_what_computes() -> None:
    names = [*(f"unit/{n}.py" for n in range(6)), "e2e/a.py", "e2e/b.py"]
    files = list(dict.fromkeys(ordered(*names)))
    assert [files.index("e2e/a.py"), files.index("e2e/b.py")] == [2, 6]
    assert sorted(files) == sorted(names)


def test_the_long_files_are_there() -> None:
    assert [name for name in LONG if not (TESTS / name).is_file()] == []
