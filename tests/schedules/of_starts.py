"""Starts meet repairs, and the next start of their session."""

from tests.schedules.actors import REST_S, TOOL, executes, passes, reads, starts
from tests.schedules.explore import Actors
from tests.schedules.scenario import FEW, LAPSE_S, ORDERS, RUN, Scenario, losing, under_way
from tests.schedules.scene import Scene


def start_repair(scene: Scene) -> Actors:
    return {
        "starter": starts(scene, "starter", [TOOL, "Done."]),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", "starter-1"),
    }


def start_repair_next(scene: Scene) -> Actors:
    return {
        "starter": starts(scene, "starter", [TOOL, "Done."]),
        "time": passes(scene, LAPSE_S),
        "next": starts(scene, "next", [TOOL]),
    }


def heartbeat_repair(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, ["Done.", REST_S, TOOL]),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", RUN),
    }


STARTS = [
    Scenario(
        "start x repair",
        start_repair,
        ["starter-1"],
        losing("start"),
    ),
    Scenario(
        "start x repair x next start",
        start_repair_next,
        ["starter-1", "next-1"],
        losing("start"),
        calls=FEW,
        requests=ORDERS,
    ),
    Scenario(
        "late heartbeat x repair",
        heartbeat_repair,
        [RUN],
    ),
]
