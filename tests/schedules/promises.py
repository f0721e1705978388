"""Named promises that have to hold after every schedule."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import NotFoundError
from agentrun.domain.events import EventType, RecordedEvent
from agentrun.domain.runs import EVENT_ID_GAP, LEASE_DURATION, AgentRun, RunStatus
from agentrun.service.reading.follow import EVENTS_KEPT
from agentrun.service.reading.replay import ENDS
from agentrun.service.reading.runs import get_run
from agentrun.service.starting.session_queue import NewRun, store_or_queue
from tests.rig import ANA
from tests.runs import AT, SESSION, a_request, a_run
from tests.schedules.actors import STEP, TOOL, replays, takes_over
from tests.schedules.instant import run_instantly
from tests.schedules.scene import BEGINNINGS, Happened, Heard, Scene, content_of
from tests.schedules.stage import Stage, Step

LETS_ACT = BEGINNINGS | {"heartbeat", "write"}
"""Writes from which an executor learns whether it may go on."""
SAYS = {
    EventType.STOP: RunStatus.COMPLETED,
    EventType.ERROR: RunStatus.FAILED,
    EventType.CANCELLED: RunStatus.CANCELLED,
}


@dataclass
class Aftermath:
    """The state once all actors have finished and every lease has lapsed."""

    scene: Scene
    runs: Mapping[str, AgentRun | None]
    replays: Mapping[str, Heard | None]
    errors: list[tuple[str, Exception]]
    outputs: Mapping[RunStatus, str | None]
    steps: Sequence[Step]


def aftermath(
    scene: Scene,
    run_ids: list[str],
    stage: Stage,
    outputs: Mapping[RunStatus, str | None],
) -> Aftermath:
    scene.clock.advance(20)
    runs: dict[str, AgentRun | None] = {}
    heard: dict[str, Heard | None] = {}
    for run_id in run_ids:
        runs[run_id] = _final(scene, run_id)
        heard[run_id] = _replay(scene, run_id)
    return Aftermath(scene, runs, heard, stage.errors, outputs, list(stage.steps))


def _final(scene: Scene, run_id: str) -> AgentRun | None:
    ports = scene.process("judge").runs
    # An executor is found for whatever can go on.
    takes_over(scene, "judge", run_id, [STEP, TOOL, "Done."])()
    try:
        # Twice, because a continuation that never began is PAUSED again, then perhaps CANCELLED.
        for _ in range(2):
            run = get_run(ANA, "echo", run_id, ports=ports)
    except NotFoundError:
        return None
    return run


def _replay(scene: Scene, run_id: str) -> Heard | None:
    before = len(scene.heard)
    replays(scene, "judge", run_id)()
    return scene.heard.pop() if len(scene.heard) > before else None


def broken(after: Aftermath) -> list[str]:
    """Return the broken promises, each as its name and what broke it."""
    found = [f"{name}: {problem}" for name, check in PROMISES.items() for problem in check(after)]
    unforeseen = [f"{who} {type(error).__name__}: {error}" for who, error in after.errors]
    return found + [f"no error is unforeseen: {problem}" for problem in unforeseen]


def _of(after: Aftermath, what: str, run_id: str | None = None) -> Iterator[tuple[int, Happened]]:
    for place, one in enumerate(after.scene.happened):
        if one.what == what and run_id in {None, one.run_id}:
            yield place, one


def told_ends_last(after: Aftermath) -> Iterator[str]:
    """Every later read returns the end that any reader was told, with its output."""
    deletions = [place for place, _ in _of(after, "deleted")]
    for place, one in _of(after, "told"):
        final, told = after.runs.get(one.run_id), one.run
        if told is None or not told.status.is_terminal:
            continue
        if final is None:
            if not deletions:
                yield f"{one.actor} was told {_brief(told)}, and now the run is gone"
        elif _end(told) != _end(final):
            yield f"{one.actor} was told {_brief(told)}, the run is {_brief(final)} (event {place})"
    for heard in after.scene.heard:
        run = after.runs.get(heard.run_id)
        said = SAYS.get(heard.events[-1].event.event) if heard.events else None
        if said is not None and run is not None and run.status is not said:
            yield f"{heard.actor} heard {said}, the run is {_brief(run)}"


def _end(run: AgentRun) -> tuple[object, ...]:
    return run.status, run.version, run.completed_at, run.last_event_id, run.error_type, run.output


def _brief(run: AgentRun) -> str:
    return f"{run.status} v{run.version} {run.error_type or ''} output={run.output!r:.20}"


def outputs_fit(after: Aftermath) -> Iterator[str]:
    """A state and its output are of the same moment."""
    for _, one in _of(after, "told"):
        if one.run and one.run.status in after.outputs:
            expected = after.outputs[one.run.status]
            if one.run.output != expected:
                yield f"{one.actor} was told {_brief(one.run)}, not {expected!r:.20}"


def effects_are_the_holders(after: Aftermath) -> Iterator[str]:
    """A tool has its effect only while the header says RUNNING by its executor."""
    for _, one in _of(after, "acted"):
        run = one.run
        holder = run.lease.executor.rpartition("-")[0] if run and run.lease else None
        # An executor learns of its session's deletion with its next write.
        if run is not None and (run.status is not RunStatus.RUNNING or holder != one.actor):
            yield f"{one.actor} acted while the run was {_brief(run)} by {holder}"


def begun_is_there(after: Aftermath) -> Iterator[str]:
    """A write that lets a run begin to act leaves it under way under the writer."""
    for _, one in _of(after, "wrote"):
        if one.call in BEGINNINGS:
            run = one.run
            holder = run.lease.executor.rpartition("-")[0] if run and run.lease else None
            if run is None or run.status.is_terminal or holder != one.actor:
                yield f"{one.actor} has made {one.call}, the run is {run and _brief(run)}"


def leases_are_whole(after: Aftermath) -> Iterator[str]:
    """A lease begins with the write that creates it."""
    for write, left_s in after.scene.leases:
        if left_s < LEASE_DURATION.total_seconds():
            yield f"{write} makes a lease of {left_s:g} s"


def cancels_hold(after: Aftermath) -> Iterator[str]:
    """After an acknowledged cancel nothing begins to act, and the run ends CANCELLED."""
    for place, one in _of(after, "cancelled"):
        if one.run is None or one.run.status in {RunStatus.COMPLETED, RunStatus.FAILED}:
            continue
        later = [other for other in after.scene.happened[place + 1 :] if other.run_id == one.run_id]
        informed: set[str] = set()
        is_decided = False
        for other in later:
            if other.what == "wrote" and other.call in LETS_ACT:
                informed.add(other.actor)
            if other.what == "acted" and other.actor in informed:
                yield f"{other.actor} acted although it could know of the cancel"
            # An executor that has written nothing since could not know; its end was decided.
            is_decided |= other.call == "finish" and other.actor not in informed
        final = after.runs.get(one.run_id)
        if final is None or final.status is RunStatus.CANCELLED:
            continue
        if final.error_type != LEASE_EXPIRED and not (final.status.is_terminal and is_decided):
            yield f"the run is {_brief(final)}"


def refusals_leave_pauses(after: Aftermath) -> Iterator[str]:
    """A continuation that did not begin leaves the run PAUSED, unless it was cancelled."""
    for run_id, run in after.runs.items():
        has_paused = any(one.call == "resume" for _, one in _of(after, "wrote", run_id))
        acted = any(True for _ in _of(after, "acted", run_id))
        began = any(True for _ in _of(after, "began", run_id))
        is_left = run is None or run.status in {RunStatus.PAUSED, RunStatus.CANCELLED}
        if run and has_paused and not (began or acted or is_left):
            yield f"nobody was told that it began, and the run is {_brief(run)}"


def sessions_are_usable(after: Aftermath) -> Iterator[str]:
    """A run can be started in the session once every lease in it has lapsed."""
    ports = after.scene.process("judge").runs
    now = after.scene.clock.now()
    run = a_run("probe", created_at=now, updated_at=now, started_at=now, input="hello")
    lease = run.lease
    assert lease is not None
    run = run.model_copy(update={"lease": lease.model_copy(update={"until": now + LEASE_DURATION})})
    try:
        run_instantly(
            store_or_queue(NewRun(run, a_request()), policy=SessionPolicy.REJECT, ports=ports)
        )
    except Exception as error:  # noqa: BLE001 - any error breaks the promise
        yield f"{type(error).__name__} {error!s:.80}"


def deletions_hold(after: Aftermath) -> Iterator[str]:
    """Nothing is readable after an acknowledged deletion, and everything left expires."""
    items = after.scene.stores.items()
    owned = {item["pk"]["S"] for item in items if item["sk"]["S"] == "RUN"}
    for item in items:
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        if "#RUN#" in pk and pk not in owned and "ttl" not in item:
            yield f"{pk} {sk} is left for ever"
    deleted = [place for place, _ in _of(after, "deleted")]
    for run_id, run in after.runs.items():
        started = [place for place, one in _of(after, "wrote", run_id) if one.call == "start"]
        if run is None or not deleted:
            continue
        if not started or max(deleted) > max(started):
            yield f"{run_id} is {_brief(run)}"
    for run_id, run in after.runs.items():
        if run is not None:
            listed = after.scene.conversations.run_keys("acme", SESSION)
            if run.key not in listed:
                yield f"{run_id} is in no session"


def one_runs_at_a_time(after: Aftermath) -> Iterator[str]:
    """A run that acts in a session holds its lock, so no two act at once."""
    for _, one in _of(after, "acted"):
        if one.run is not None and one.call != one.run_id:
            yield f"{one.actor} acted while {one.call} held the session"


def ids_mean_one_thing(after: Aftermath) -> Iterator[str]:
    """No event id has two meanings for any reader."""
    for run_id, heard in after.replays.items():
        meanings: dict[int, str] = {}
        streams = [one for one in after.scene.heard if one.run_id == run_id]
        for stream in [*streams, *([heard] if heard else [])]:
            for event in stream.events:
                said = content_of(event)
                if meanings.setdefault(event.id, said) != said:
                    yield f"{event.id} is {said:.60} and {meanings[event.id]:.60}"


def streams_have_no_holes(after: Aftermath) -> Iterator[str]:
    """A stream continues from its cursor without a gap, except at the end of a lapsed lease."""
    for heard in [*after.scene.heard, *filter(None, after.replays.values())]:
        run = after.runs.get(heard.run_id)
        ids = [heard.cursor, *(event.id for event in heard.events)]
        for before, following in pairwise(ids):
            is_lapse = run and run.error_type == LEASE_EXPIRED and following == run.last_event_id
            is_gap = run and any(lost <= before < to == following for lost, to in run.gaps)
            if following != before + 1 and not is_lapse and not is_gap:
                yield f"{heard.actor} heard {following} after {before}"


def replays_are_whole(after: Aftermath) -> Iterator[str]:
    """A replay ends as the run did, and has everything that any reader was told."""
    for run_id, run in after.runs.items():
        heard = after.replays[run_id]
        if run is None or not (run.status.is_terminal or run.status is RunStatus.PAUSED):
            continue
        if heard is None:
            if after.scene.clock.now() - AT < EVENTS_KEPT:
                yield f"there is no replay of {_brief(run)}"
            continue
        ids = {event.id for event in heard.events}
        if run.error_type == LEASE_EXPIRED and len(run.lost_after) < 2:
            # METRICS and an end that was not committed, the last two, may have been stored.
            stored = set(range(1, run.last_event_id - EVENT_ID_GAP - 1))
            if missing := sorted(stored - ids):
                yield f"the replay of {_brief(run)} lacks {missing}"
        if not heard.events or heard.events[-1].event.event not in ENDS:
            yield f"the replay of {_brief(run)} has no end"
        yield from _missing(after, run, heard.events)


def _missing(after: Aftermath, run: AgentRun, replayed: list[RecordedEvent]) -> Iterator[str]:
    ids = {event.id for event in replayed}
    for stream in after.scene.heard:
        if stream.run_id != run.id:
            continue
        void = [range(last + 1, to) for last, to in run.gaps]
        lost = [
            event
            for event in stream.events
            if event.id not in ids and not any(event.id in gap for gap in void)
        ]
        # Events that a dead process had sent but not stored are lost; an end never is.
        if run.error_type == LEASE_EXPIRED:
            lost = [event for event in lost if event.event.event in ENDS]
        if lost:
            yield f"{stream.actor} heard {lost[0].id} {lost[0].event.event}, the replay lacks it"


def progress_is_kept(after: Aftermath) -> Iterator[str]:
    """A chunk that has been written is not written again."""
    written: set[tuple[str, str]] = set()
    for step in after.steps:
        if step.call.startswith(("output", "messages", "checkpoint ")):
            if (step.actor, step.call) in written:
                yield f"{step.actor} wrote {step.call} again"
            if not step.fault:
                written.add((step.actor, step.call))


PROMISES: Mapping[str, Callable[[Aftermath], Iterator[str]]] = {
    "an end that was told is the run's end": told_ends_last,
    "a state and its output come from one moment": outputs_fit,
    "a tool acts only for the run's executor": effects_are_the_holders,
    "a run that was begun is there": begun_is_there,
    "one run at a time acts in a session": one_runs_at_a_time,
    "a lease begins with the write that makes it": leases_are_whole,
    "an acknowledged cancel holds": cancels_hold,
    "a continuation that did not begin leaves the pause": refusals_leave_pauses,
    "no event id has two meanings": ids_mean_one_thing,
    "a stream has no holes": streams_have_no_holes,
    "a replay is whole": replays_are_whole,
    "what has been written is not written again": progress_is_kept,
    "a deletion holds": deletions_hold,
    "the session is usable": sessions_are_usable,
}
