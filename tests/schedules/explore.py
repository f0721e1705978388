"""Play all schedules of a scenario, each from its beginning."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.schedules.stage import Choice, Faults, Stage, no_faults

Actors = Mapping[str, Callable[[], None]]


@dataclass
class Played:
    """One schedule and the promises that it broke."""

    stage: Stage
    broken: list[str]

    def __str__(self) -> str:
        lines = [f"{number:3} {step}" for number, step in enumerate(self.stage.steps, 1)]
        return "\n".join([*self.broken, *lines])


@dataclass
class Report:
    """How many schedules there were, and the first that broke each promise."""

    name: str
    bound: int | None
    count: int = 0
    cut: int = 0
    is_whole: bool = True
    broken: dict[str, Played] = field(default_factory=dict)
    times_broken: dict[str, int] = field(default_factory=dict)

    def add(self, played: Played) -> None:
        """Count a schedule."""
        self.count += 1
        for promise in {problem.partition(":")[0] for problem in played.broken}:
            self.times_broken[promise] = self.times_broken.get(promise, 0) + 1
            self.broken.setdefault(promise, played)

    def __str__(self) -> str:
        bound = "exhaustive" if self.bound is None else f"at most {self.bound} switches"
        bound = bound if self.is_whole else f"{bound}, the first {self.count}"
        counts = ", ".join(f'{times} x "{name}"' for name, times in self.times_broken.items())
        return f"{self.name:52} {self.count:6} ({bound}), {counts or 0} broken"


@dataclass(frozen=True)
class Bounds:
    """How many schedules are played."""

    switches: int | None = None
    faults: int = 1
    count: int | None = None


def schedules(first: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], list[Choice]]]:
    """
    Yield schedules depth first; the caller fills in the choices that each one met.

    A schedule ends with its last choice other than the first possible one.
    """
    schedule = first
    while True:
        met: list[Choice] = []
        yield schedule, met
        while met and met[-1].taken + 1 >= met[-1].of:
            met.pop()
        if not met:
            return
        schedule = (*(choice.taken for choice in met[:-1]), met[-1].taken + 1)


def explore(
    name: str,
    play: Callable[[Stage], list[str]],
    *,
    faults: Faults = no_faults,
    bounds: Bounds = Bounds(),
) -> Report:
    """
    Play all schedules within the bounds.

    Args:
        name: Name in the report.
        play: Set everything up anew, play it on the stage, and return the broken promises.
        faults: What may happen to calls.
        bounds: How many schedules are played.
    """
    report = Report(name, bounds.switches)
    # Thousands of runs that are fenced off, each with its warning.
    logging.disable(logging.CRITICAL)
    try:
        _explore(report, play, faults, bounds)
    finally:
        logging.disable(logging.NOTSET)
    return report


def _explore(
    report: Report, play: Callable[[Stage], list[str]], faults: Faults, bounds: Bounds
) -> None:
    for schedule, met in schedules():
        if report.count == bounds.count:
            report.is_whole = False
            break
        stage = Stage(
            schedule, faults=faults, max_faults=bounds.faults, max_switches=bounds.switches
        )
        broken = play(stage)
        met.extend(stage.choices)
        if stage.is_cut:
            report.cut += 1
            continue
        report.add(Played(stage, broken))
