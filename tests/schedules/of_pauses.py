"""Continuations meet cancels, repairs and each other."""

from agentrun.domain.runs import LEASE_DURATION, Lease, RunStatus
from tests.runs import SESSION, a_run
from tests.schedules.actors import PAUSE, TOOL, cancels, continues, executes, passes, reads, replays
from tests.schedules.explore import Actors
from tests.schedules.scenario import (
    FEW,
    LAPSE_S,
    ORDERS,
    RUN,
    SOME,
    Scenario,
    losing,
    refusing,
    under_way,
    waiting,
)
from tests.schedules.scene import Scene


def continue_repair(scene: Scene) -> Actors:
    waiting(scene)
    return {
        "approver": continues(scene, "approver", RUN, [TOOL, "Done."]),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", RUN),
    }


def continue_cancel(scene: Scene) -> Actors:
    waiting(scene)
    return {
        "approver": continues(scene, "approver", RUN, [TOOL, "Done."]),
        "canceller": cancels(scene, "canceller", RUN),
    }


def continue_cancel_repair(scene: Scene) -> Actors:
    waiting(scene)
    return {
        "approver": continues(scene, "approver", RUN, [TOOL, "Done."]),
        "canceller": cancels(scene, "canceller", RUN),
        "time": passes(scene, LAPSE_S),
        "second": continues(scene, "second", RUN, [TOOL, "Done."]),
    }


def continue_continue(scene: Scene) -> Actors:
    waiting(scene)
    return {
        "first": continues(scene, "first", RUN, [TOOL, "Done."]),
        "second": continues(scene, "second", RUN, [TOOL, "Done."]),
    }


def restore_repair(scene: Scene) -> Actors:
    waiting(scene)
    return {
        "approver": continues(scene, "approver", RUN, [TOOL, "Done."]),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", RUN),
    }


def lapsed_continuation(scene: Scene) -> Actors:
    waiting(scene)
    seen = scene.store.get_state(a_run(RUN).key)
    lease = Lease(executor="dead-0", until=scene.clock.now() + LEASE_DURATION)
    lock = scene.conversations.lock("acme", SESSION)
    scene.store.resume(seen, lease, seen=lock, at=scene.clock.now())
    scene.clock.advance(LAPSE_S)
    return {
        "second": continues(scene, "second", RUN, [TOOL, "Done."]),
        "canceller": cancels(scene, "canceller", RUN),
    }


def pause_expire_read(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, ["Asking.", PAUSE]),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", RUN),
    }


def pause_cancel(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, ["Asking.", PAUSE]),
        "canceller": cancels(scene, "canceller", RUN),
        "follower": replays(scene, "follower", RUN),
    }


PAUSES = [
    Scenario("continue x repair", continue_repair, [RUN], requests=ORDERS),
    Scenario(
        "continue x cancel",
        continue_cancel,
        [RUN],
    ),
    Scenario(
        "continue x cancel x repair x continue",
        continue_cancel_repair,
        [RUN],
        calls=FEW,
        requests=ORDERS,
    ),
    Scenario("continue x continue", continue_continue, [RUN], requests=ORDERS),
    Scenario(
        "restored pause x repair",
        restore_repair,
        [RUN],
        refusing("approver", "append", "segment", "heartbeat", "begin"),
        requests=ORDERS,
    ),
    Scenario(
        "lapsed continuation x cancel x continue",
        lapsed_continuation,
        [RUN],
    ),
    Scenario(
        "pause x expire x read",
        pause_expire_read,
        [RUN],
        losing("finish"),
        requests=ORDERS,
        outputs={RunStatus.PAUSED: "Asking."},
    ),
    Scenario(
        "pause x cancel x follow",
        pause_cancel,
        [RUN],
        losing("finish"),
        calls=SOME,
        requests=ORDERS,
    ),
]
