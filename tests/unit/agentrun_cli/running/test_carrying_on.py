"""A run is followed over its pauses; what the API refuses of a decision is asked again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from agentrun_cli.errors import ExitStatus
from agentrun_cli.running.carrying_on import carry_on
from agentrun_cli.running.decisions import Answer
from agentrun_cli.running.following import end_after, exit_status_of_record
from agentrun_client import (
    Budget,
    Cancelled,
    ContentDelta,
    Failed,
    InvalidRequestError,
    Paused,
    Problem,
    RequiredAction,
    Run,
    RunEvent,
    RunStatus,
    Start,
    Stop,
    approve,
)

AT = datetime(2026, 11, 30, tzinfo=UTC)
START = Start(1, 0, "r1", "s1", "echo")
PAUSED = Paused(2, 0, RequiredAction("BUDGET", "a1"))
STOP = Stop(4, 0, "r1")
REFUSED = InvalidRequestError(Problem(400, "t", "Not valid", "budget.maxCostUsd: is too large"))


class Stream:
    """A run's stream that brings these events, or is refused."""

    run_id = "r1"

    def __init__(self, *events: RunEvent | Exception) -> None:
        self._events = events

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __iter__(self) -> Iterator[RunEvent]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event


class Resumed:
    """Resumes with the next of these streams, and remembers the budgets."""

    def __init__(self, *streams: Stream) -> None:
        self._streams = list(streams)
        self.budgets: list[Budget | None] = []

    def resume(self, _agent: str, _run: str, _decisions: object, budget: Budget | None) -> Stream:
        self.budgets.append(budget)
        return self._streams.pop(0)


def carried_on(runs: Resumed, *answers: Answer) -> Any:
    client: Any = SimpleNamespace(runs=runs)
    view: Any = SimpleNamespace(show=lambda event: None)
    first: Any = Stream(START, PAUSED)
    left = iter(answers)
    return carry_on(client, "echo", first, view, lambda action: next(left)).end


def test_a_budget_that_is_refused_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    runs = Resumed(Stream(REFUSED), Stream(START, STOP))
    ends = carried_on(runs, Answer(approve(), Budget(1e9)), Answer(approve(), Budget(2.0)))
    assert ends == STOP
    assert runs.budgets == [Budget(1e9), Budget(2.0)]
    assert "not decided: budget.maxCostUsd: is too large" in capsys.readouterr().err


def test_a_refusal_of_what_nobody_typed_is_an_error() -> None:
    with pytest.raises(InvalidRequestError):
        carried_on(Resumed(Stream(REFUSED)), Answer(approve()))


@pytest.mark.parametrize("end", [STOP, PAUSED, Failed(2, 0, "m"), Cancelled(2, 0, "m")])
def test_a_start_after_an_end_says_that_the_run_goes_on(end: Any) -> None:
    assert end_after(end, None) is end
    assert end_after(ContentDelta(3, 0, "x"), end) is end
    assert end_after(START, end) is None


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [("FAILED", 1), ("PAUSED", 3), ("CANCELLED", 4), ("COMPLETED", 0), ("RUNNING", 0)],
)
def test_a_record_says_how_a_run_has_ended(status: RunStatus, exit_status: int) -> None:
    run = Run("1", "echo", "s", "ana", "acme", status, AT, AT, 1, 1)
    assert exit_status_of_record(run) is ExitStatus(exit_status)
