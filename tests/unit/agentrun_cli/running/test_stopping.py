"""Stopping all goes on until none is left, or time is up."""

from collections.abc import Iterator
from datetime import UTC, datetime

from agentrun_cli.running.stopping import Stopped, stop_all, stop_named
from agentrun_client import NotFoundError, Problem, Run, RunStatus

AT = datetime(2026, 11, 30, tzinfo=UTC)


def run(run_id: str, status: RunStatus) -> Run:
    return Run(run_id, "echo", "s", "ana", "acme", status, AT, AT, 1, 1)


class Runs:
    """Runs that end one look after they were asked to, but for the stubborn ones."""

    def __init__(self, *runs: Run, stubborn: str = "", unknown: str = "") -> None:
        self._active = {each.id: each for each in runs}
        self._stubborn, self._unknown = stubborn, unknown
        self.asked: list[str] = []
        self.begins_later: list[Run] = []

    def list(self, *, status: RunStatus | None = None) -> Iterator[Run]:
        yield from [each for each in self._active.values() if each.status == status]

    def get(self, run_id: str) -> Run:
        if run_id == self._unknown:
            raise NotFoundError(Problem(404, "t", "Not found", f"There is no run '{run_id}'."))
        return self._active.get(run_id) or run(run_id, "COMPLETED")

    def cancel(self, run_id: str) -> None:
        if run_id == self._unknown:
            raise NotFoundError(Problem(404, "t", "Not found", f"There is no run '{run_id}'."))
        self.asked.append(run_id)

    def sleep(self, _: float) -> None:
        for run_id in self.asked:
            if run_id != self._stubborn:
                self._active.pop(run_id, None)
        self._active |= {each.id: each for each in self.begins_later}
        self.begins_later = []


def stopped(runs: Runs, *times: float) -> tuple[Stopped, list[str]]:
    told: list[str] = []
    clock = iter(times)
    found = stop_all(
        runs,
        within_s=10,
        tell=told.append,
        clock=lambda: next(clock, times[-1]),
        sleep=runs.sleep,
    )
    return found, told


def test_what_waits_is_stopped_before_what_runs_and_what_begins_meanwhile_too() -> None:
    runs = Runs(run("1", "RUNNING"), run("2", "QUEUED"), run("3", "PAUSED"))
    runs.begins_later = [run("4", "RUNNING")]
    found, told = stopped(runs, 0)
    assert runs.asked == ["2", "3", "1", "4"]
    assert found.is_done
    assert found.told() == "stopped 4 runs"
    assert told[0] == "stopping 2, QUEUED, of ana"


def test_it_gives_up_in_time() -> None:
    found, _ = stopped(Runs(run("1", "RUNNING"), stubborn="1"), 0, 0, 0, 5, 11)
    assert not found.is_done
    assert found.told() == "not ended yet: 1\nstopped 0 runs"


def test_a_run_that_cannot_be_stopped_is_told() -> None:
    found = stop_named(Runs(run("1", "PAUSED"), unknown="2"), ["1", "2", "1"])
    assert not found.is_done
    assert found.told() == "not stopped: the run '2': 404 There is no run '2'.\nasked 1 run to end"


def test_a_run_that_had_ended_is_not_said_to_be_stopped() -> None:
    runs = Runs(run("1", "QUEUED"), run("2", "RUNNING"))
    found = stop_named(runs, ["1", "2", "3"])
    assert found.is_done
    assert runs.asked == ["1", "2"]
    assert found.told() == "the run '3' had ended already: COMPLETED\nasked 2 runs to end"
