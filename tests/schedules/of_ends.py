"""Ends meet readers that take their runs for dead, deletions and expiring items."""

from agentrun.domain.runs import RunStatus
from tests.runs import deltas
from tests.schedules.actors import (
    PAUSE,
    TOOL,
    continues,
    deletes,
    executes,
    passes,
    reads,
    reads_batch,
    replays,
    starts,
    sweeps,
)
from tests.schedules.explore import Actors, Bounds
from tests.schedules.scenario import (
    LAPSE_S,
    LONG,
    ORDERS,
    RUN,
    Scenario,
    losing,
    refusing,
    under_way,
    waiting,
)
from tests.schedules.scene import Scene


def finish_expire_read(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, ["Done."]),
        "time": passes(scene, LAPSE_S),
        "reader": reads(scene, "reader", RUN),
    }


def finish_expire_batch(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, ["Done."]),
        "time": passes(scene, LAPSE_S),
        "batch": reads_batch(scene, "batch", [RUN]),
    }


def finish_expire_replay(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, ["Done."]),
        "time": passes(scene, LAPSE_S),
        "follower": replays(scene, "follower", RUN),
    }


def delete_finish(scene: Scene) -> Actors:
    run = under_way(scene)
    return {
        "executor": executes(scene, "executor", run, [LONG]),
        "deleter": deletes(scene, "deleter"),
    }


def delete_start(scene: Scene) -> Actors:
    return {
        "starter": starts(scene, "starter", [TOOL, "Done."], key="k"),
        "deleter": deletes(scene, "deleter"),
    }


def expired_dead(scene: Scene) -> Actors:
    run = under_way(scene)
    scene.log.append(run.key, deltas(2, 6), at=scene.clock.now())
    return {
        "time": passes(scene, 50 * 3600.0),
        "reader": reads(scene, "reader", RUN),
        "ttl": sweeps(scene),
        "follower": replays(scene, "follower", RUN),
    }


def expired_pauses(scene: Scene) -> Actors:
    waiting(scene)
    scene.clock.advance(23 * 3600.0)
    continues(scene, "earlier", RUN, ["Again.", PAUSE])()
    scene.clock.advance(23 * 3600.0)
    return {
        "approver": continues(scene, "approver", RUN, ["Done."]),
        "time": passes(scene, 5 * 3600.0),
        "ttl": sweeps(scene),
        "follower": replays(scene, "follower", RUN),
    }


def throttled_finish(scene: Scene) -> Actors:
    run = under_way(scene)
    return {"executor": executes(scene, "executor", run, [LONG * 40])}


ENDS = [
    Scenario(
        "finish x expire x read",
        finish_expire_read,
        [RUN],
        losing("finish"),
        outputs={RunStatus.COMPLETED: "Done."},
    ),
    Scenario(
        "finish x expire x batch",
        finish_expire_batch,
        [RUN],
        refusing("batch", "expire", "repair"),
        outputs={RunStatus.COMPLETED: "Done."},
    ),
    Scenario("finish x expire x replay", finish_expire_replay, [RUN], requests=ORDERS),
    Scenario("expiry x repair x replay", expired_dead, [RUN], calls=None, requests=ORDERS),
    Scenario("expiry x continue x replay", expired_pauses, [RUN], calls=None, requests=ORDERS),
    Scenario(
        "throttled x finish",
        throttled_finish,
        [RUN],
        refusing("executor", "output"),
        calls=None,
        requests=Bounds(faults=2),
    ),
    Scenario(
        "delete x finish",
        delete_finish,
        [RUN],
    ),
    Scenario(
        "delete x start with a key",
        delete_start,
        ["starter-1"],
        losing("start"),
    ),
]
