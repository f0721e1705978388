"""A scenario: actors that meet after something has happened, in every schedule."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agentrun.domain.events import ContentDelta, RecordedEvent, RunEvent, Start
from agentrun.domain.runs import LEASE_DURATION, AgentRun, Lease, RunStatus
from tests.runs import SESSION, a_queued_run, a_request, a_run, paused
from tests.schedules.explore import Actors, Bounds, Report, explore
from tests.schedules.promises import aftermath, broken
from tests.schedules.scene import RETENTION, Scene, Stores
from tests.schedules.stage import Fault, Faults, Stage, no_faults

LAPSE_S = 17.5
"""Longer than a lease and its grace."""
RUN = "run-1"
_DRAW = random.Random(7)
LONG = "".join(chr(_DRAW.randrange(0x4E00, 0x9000)) for _ in range(4000))
"""An answer that does not fit into the header, however it is compressed."""
ORDERS = Bounds(switches=0)
FEW = Bounds(switches=1)
SOME = Bounds(switches=2)
ALL = Bounds()


@dataclass(frozen=True)
class Scenario:
    """
    Actors that meet after something has happened.

    `runs` are those that are looked at in the end, `outputs` what a reader of the whole run has to
    be told beside a status.
    """

    name: str
    prepare: Callable[[Scene], Actors]
    runs: Sequence[str]
    faults: Faults = no_faults
    outputs: Mapping[RunStatus, str | None] = field(default_factory=dict)
    calls: Bounds | None = ALL
    requests: Bounds | None = FEW
    thorough: Bounds = ALL

    def bounds(self, stores: Stores) -> Bounds | None:
        """Return the bounds of the tests."""
        return self.calls if stores.steps_are_calls() else self.requests

    def explore(self, stores: Stores, bounds: Bounds) -> Report:
        """Play all schedules within the bounds."""

        def play(stage: Stage) -> list[str]:
            scene = Scene(stores)
            scene.play(stage, self.prepare(scene))
            if stage.is_cut:
                return []
            after = aftermath(scene, list(self.runs), stage, self.outputs)
            return broken(after)

        name = f"{self.name}, {stores.granularity}"
        return explore(name, play, faults=self.faults, bounds=bounds)


def losing(*calls: str) -> Faults:
    """Let the reply to any of these calls be lost."""
    return lambda _actor, call: (Fault.LOST,) if call.startswith(calls) else ()


def refusing(actor: str, *calls: str) -> Faults:
    """Let any of these calls of an actor never be sent."""
    return lambda who, call: (Fault.REFUSED,) if who == actor and call.startswith(calls) else ()


def under_way(
    scene: Scene, executor: str = "executor", run_id: str = RUN, *, attempts: int = 1
) -> AgentRun:
    """Start a run that is about to be executed, for the first of so many times."""
    lease = Lease(executor=f"{executor}-0", until=scene.clock.now() + LEASE_DURATION)
    run = a_run(run_id, lease=lease, max_attempts=attempts)
    scene.store.start(run, a_request())
    return run


def waiting(scene: Scene) -> AgentRun:
    """Start a run and pause it."""
    run = under_way(scene, "former")
    outcome = paused(last_event_id=4, paused_until=scene.clock.now() + RETENTION)
    events: list[RunEvent] = [
        Start(run_id=run.id, session_id=SESSION, agent_id="echo"),
        ContentDelta(text="so far"),
        outcome.metrics,
        outcome.required_action,
    ]
    scene.log.append(
        run.key,
        [RecordedEvent(id=n, timestamp_ms=n, event=event) for n, event in enumerate(events, 1)],
        at=scene.clock.now(),
    )
    scene.store.finish(run.key, "former-0", outcome, at=scene.clock.now())
    scene.store.release(run)
    return run


def queued(scene: Scene, number: int, executor: str) -> AgentRun:
    lease = Lease(executor=f"{executor}-0", until=scene.clock.now() + LEASE_DURATION)
    run = a_queued_run(f"run-{number}", lease=lease)
    scene.store.start(run, a_request())
    return run
