"""The stage and the explorer play every order once and find what breaks."""

from collections.abc import Callable

from tests.schedules.explore import Bounds, Report, explore
from tests.schedules.stage import Fault, Stage
from tests.schedules.touches import Touches, touching

ALL = Bounds()


def of_two(touches: Touches, bounds: Bounds = ALL) -> Report:
    """Let two actors make two steps each."""

    def play(stage: Stage) -> list[str]:
        def steps() -> None:
            for _ in range(2):
                stage.step("step", touches)

        stage.play({"one": steps, "other": steps})
        return []

    return explore("two", play, bounds=bounds)


def test_all_orders_are_played_once() -> None:
    assert of_two(touching(writes=["x"])).count == 6


def test_of_orders_that_come_to_the_same_one_is_played() -> None:
    assert of_two(touching(reads=["x"])).count == 1


def test_switches_are_bounded() -> None:
    assert of_two(touching(writes=["x"]), Bounds(switches=0)).count == 2


def adding(stage: Stage, store: dict[str, int]) -> Callable[[], None]:
    def add() -> None:
        stage.step("read", touching(["x"]))
        seen = store["x"]
        stage.step("write", touching(writes=["x"]))
        store["x"] = seen + 1

    return add


def test_a_lost_update_is_found_and_its_schedule_told() -> None:
    def play(stage: Stage) -> list[str]:
        store = {"x": 0}
        stage.play({"one": adding(stage, store), "other": adding(stage, store)})
        return [] if store["x"] == 2 or stage.is_cut else [f"no update is lost: {store['x']}"]

    report = explore("counter", play)
    told = str(report.broken["no update is lost"])
    assert [line.split()[1:3] for line in told.splitlines()[1:]] in (
        [["one", "read"], ["other", "read"], ["one", "write"], ["other", "write"]],
        [["one", "read"], ["other", "read"], ["other", "write"], ["one", "write"]],
    )


def test_each_fault_is_a_schedule_of_its_own() -> None:
    def play(stage: Stage) -> list[str]:
        def write() -> None:
            stage.step("write")

        stage.play({"one": write})
        return []

    report = explore("faults", play, faults=lambda _actor, _call: (Fault.LOST, Fault.DIES))
    assert report.count == 3
