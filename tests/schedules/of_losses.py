"""Take-overs and hand-overs meet zombies, cancels, readers and each other."""

from tests.schedules.actors import (
    STEP,
    TOOL,
    cancels,
    executes,
    passes,
    reads,
    replays,
    starts,
    takes_over,
)
from tests.schedules.explore import Actors
from tests.schedules.scenario import FEW, LAPSE_S, ORDERS, RUN, SOME, Scenario, losing, under_way
from tests.schedules.scene import Scene

SCRIPT = [STEP, TOOL, "Done."]
HANDS_OVER_AT_ONCE_S = 6.0
"""An execution whose process lasts so long looks for a step's end from the first."""


def take_over_zombie(scene: Scene) -> Actors:
    run = under_way(scene, attempts=3)
    return {
        "executor": executes(scene, "executor", run, SCRIPT),
        "time": passes(scene, LAPSE_S),
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
    }


def take_over_cancel(scene: Scene) -> Actors:
    under_way(scene, attempts=3)
    scene.clock.advance(LAPSE_S)
    return {
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
        "canceller": cancels(scene, "canceller", RUN),
    }


def take_over_take_over(scene: Scene) -> Actors:
    under_way(scene, attempts=3)
    scene.clock.advance(LAPSE_S)
    return {
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
        "other": takes_over(scene, "other", RUN, SCRIPT),
    }


def take_over_settle(scene: Scene) -> Actors:
    """The taker is the last that may try; a reader finds it lost, too."""
    under_way(scene, attempts=2)
    scene.clock.advance(LAPSE_S)
    return {
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", RUN),
    }


def hand_over_take_over(scene: Scene) -> Actors:
    run = under_way(scene, attempts=3)
    return {
        "executor": executes(scene, "executor", run, SCRIPT, lasts_s=HANDS_OVER_AT_ONCE_S),
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
        "reader": reads(scene, "reader", RUN),
    }


def hand_over_cancel(scene: Scene) -> Actors:
    run = under_way(scene, attempts=3)
    return {
        "executor": executes(scene, "executor", run, SCRIPT, lasts_s=HANDS_OVER_AT_ONCE_S),
        "canceller": cancels(scene, "canceller", RUN),
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
    }


def take_over_follow(scene: Scene) -> Actors:
    run = under_way(scene, attempts=3)
    return {
        "executor": executes(scene, "executor", run, ["so far", *SCRIPT]),
        "time": passes(scene, LAPSE_S),
        "taker": takes_over(scene, "taker", RUN, ["so far", *SCRIPT]),
        "follower": replays(scene, "follower", RUN),
    }


def take_over_start(scene: Scene) -> Actors:
    under_way(scene, attempts=3)
    scene.clock.advance(LAPSE_S)
    return {
        "taker": takes_over(scene, "taker", RUN, SCRIPT),
        "next": starts(scene, "next", [TOOL]),
    }


LOSSES = [
    Scenario("take over x zombie", take_over_zombie, [RUN], calls=FEW, requests=ORDERS),
    Scenario("take over x cancel", take_over_cancel, [RUN], calls=SOME, requests=FEW),
    Scenario(
        "take over x take over",
        take_over_take_over,
        [RUN],
        losing("take_over", "take over"),
        calls=FEW,
        requests=ORDERS,
    ),
    Scenario("take over x settle", take_over_settle, [RUN], calls=FEW, requests=ORDERS),
    Scenario(
        "hand over x take over",
        hand_over_take_over,
        [RUN],
        losing("hand_over", "hand over"),
        calls=FEW,
        requests=ORDERS,
    ),
    Scenario("hand over x cancel", hand_over_cancel, [RUN], calls=FEW, requests=ORDERS),
    Scenario("take over x zombie x follow", take_over_follow, [RUN], calls=ORDERS, requests=None),
    Scenario("take over x start", take_over_start, [RUN, "next-1"], calls=FEW, requests=ORDERS),
]
