"""A replay waits as the run did."""

from agentrun_cli.running.attaching import Paced
from agentrun_client import ContentDelta, RunEvent


class Time:
    """A clock that only waiting moves, or what the test does."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(round(seconds, 3))
        self.now_s += seconds

    def show(self, event: RunEvent) -> None:
        """Show nothing."""


def waits(
    *timestamps: int, speed: float = 1, max_gap_s: float = 5, busy_s: float = 0
) -> list[float]:
    time = Time()
    paced = Paced(time, speed, max_gap_s, clock=lambda: time.now_s, sleep=time.sleep)
    for number, timestamp in enumerate(timestamps, start=1):
        time.now_s += busy_s
        paced.show(ContentDelta(number, timestamp, "x"))
    return time.waits


def test_events_come_as_far_apart_as_they_were() -> None:
    assert waits(1000, 1200, 1200, 3200) == [0.2, 0, 2]


def test_speed_divides_the_pauses() -> None:
    assert waits(1000, 2000, speed=4) == [0.25]


def test_a_long_pause_is_shortened() -> None:
    assert waits(0, 3_600_000, max_gap_s=5) == [5]


def test_what_a_live_run_took_is_not_waited_again() -> None:
    assert waits(1000, 2000, 2500, busy_s=0.75) == [0.25, 0]


def test_a_clock_that_went_back_does_not_matter() -> None:
    assert waits(2000, 1000) == [0]
