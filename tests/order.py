"""In which order files of tests are begun when several workers share them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

TESTS = Path(__file__).parent
LONG = (
    "e2e/test_conversations.py",
    "schedules/test_requests.py",
    "e2e/test_smoke.py",
    "schedules/test_calls.py",
    "e2e/test_lost_connections.py",
    "integration/mcp_tools/test_any_message.py",
    "e2e/test_killed_runs.py",
    "e2e/test_taken_over_runs.py",
    "simulation/test_simulation.py",
    "e2e/test_hand_overs.py",
    "integration/test_schemathesis.py",
    "e2e/test_reconnecting_readers.py",
    "e2e/test_documented_commands.py",
    "e2e/test_how_to_pages.py",
    "unit/core/adapters/test_dynamo_run_erasure.py",
    "e2e/test_worker.py",
    "e2e/test_smoke_model.py",
    "e2e/test_run_caps.py",
)
"""Files of half a minute and more. They come first, so that no worker ends with one alone."""


class InFile(Protocol):
    """A test, as far as its file goes."""

    @property
    def path(self) -> Path: ...


Item = TypeVar("Item", bound=InFile)


def in_order(items: Sequence[Item]) -> list[Item]:
    """
    Return the tests file by file: long files first, then those of `e2e` spread among the others.

    The tests of `e2e` mostly wait, for leases and processes. One after another they would leave the
    processor idle, and so the tests that compute run beside them.
    """
    files: dict[str, list[Item]] = {}
    for item in items:
        files.setdefault(_name(item.path), []).append(item)
    long = [name for name in LONG if name in files]
    rest = [name for name in files if name not in LONG]
    waiting = [name for name in rest if name.startswith("e2e/")]
    computing = [name for name in rest if name not in waiting]
    places = {
        name: (number + 0.5) / len(group)
        for group in (waiting, computing)
        for number, name in enumerate(group)
    }
    return [item for name in (*long, *sorted(rest, key=places.__getitem__)) for item in files[name]]


def _name(path: Path) -> str:
    return path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else path.as_posix()
