"""Runs that want a session's lock meet cancels and each other."""

from tests.schedules.actors import REQUEST, TOOL, cancels, executes, starts
from tests.schedules.explore import Actors, Bounds
from tests.schedules.scenario import FEW, LAPSE_S, LONG, ORDERS, RUN, Scenario, queued, under_way
from tests.schedules.scene import Scene

LONG_REQUEST = REQUEST.model_copy(update={"message": LONG * 25})


def lock_cancel(scene: Scene) -> Actors:
    run = under_way(scene)
    waiter = queued(scene, 2, "waiter")
    return {
        "executor": executes(scene, "executor", run, ["Done."]),
        "waiter": executes(scene, "waiter", waiter, [TOOL], patience_s=0.7),
        "canceller": cancels(scene, "canceller", "run-2"),
    }


def lock_cancel_start(scene: Scene) -> Actors:
    run = under_way(scene)
    waiter = queued(scene, 2, "waiter")
    return {
        "executor": executes(scene, "executor", run, ["Done."]),
        "waiter": executes(scene, "waiter", waiter, [TOOL], patience_s=0.2),
        "canceller": cancels(scene, "canceller", "run-2"),
        "next": starts(scene, "next", [TOOL]),
    }


def crowded_lock(scene: Scene) -> Actors:
    def crowd() -> None:
        under_way(scene)
        for number in range(2, 92):
            queued(scene, number, "dead")

    scene.stores.remembered("crowd", crowd)
    scene.clock.advance(LAPSE_S)
    return {
        "next": starts(scene, "next", [TOOL], key="k", request=LONG_REQUEST),
        "other": starts(scene, "other", [TOOL]),
    }


LOCKS = [
    Scenario("take the lock x cancel", lock_cancel, [RUN, "run-2"], requests=ORDERS),
    Scenario(
        "take the lock x cancel x start",
        lock_cancel_start,
        [RUN, "run-2", "next-1"],
        calls=FEW,
        requests=ORDERS,
    ),
    Scenario(
        "start x start, 91 dead ahead",
        crowded_lock,
        ["next-1", "other-1"],
        calls=None,
        requests=Bounds(switches=0),
    ),
]
