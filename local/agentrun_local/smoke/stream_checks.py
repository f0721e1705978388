"""Checks of streams while their runs are under way, by the stack's own times."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from agentrun_local.smoke.connection import ExchangeError, SilentError
from agentrun_local.smoke.outcome import Outcome, Verdict, fails, holds, not_tried
from agentrun_local.smoke.run_stream import Frame, RunStream
from agentrun_local.smoke.target import Answer, Door, Target

_TELLING_S = 0.5
"""Events that the stack sends closer together than this say nothing about a door."""
_LATE_S = 10
"""How long a cancelled run is watched past its limit, to report how late it ended."""
_NEEDS_START = "needs a stream whose START comes while the run is under way; see start"


def start_first(target: Target, door: Door) -> Outcome:
    """Check that START arrives while the model is still silent."""
    seen = not_tried("nothing was run")
    for _ in range(target.limits.tries):
        with target.run(door, target.paced(3, 100, after_ms=2_000)) as stream:
            seen = start_before_content(stream.whole())
        if seen.verdict is not Verdict.FAILS:
            target.held_back.discard(door)
            return seen
        target.held_back.add(door)
    return seen


def start_before_content(frames: Sequence[Frame]) -> Outcome:
    """Compare when START and the first token were sent and when they arrived."""
    if not frames or frames[0].event != "START":
        return fails("the first event is not START")
    start, spoken = frames[0], [f for f in frames if f.event.endswith("_DELTA")]
    if not spoken or spoken[0].said_s - start.said_s < _TELLING_S:
        return not_tried("the model began at once, so nobody can tell")
    said_s, came_s = spoken[0].said_s - start.said_s, spoken[0].at - start.at
    if came_s < said_s / 2:
        return fails(
            f"said {said_s:.1f} s before the first token, arrived {came_s:.1f} s before it"
        )
    return holds(f"{came_s:.1f} s before the first token")


def one_by_one(target: Target, door: Door) -> Outcome:
    """Check that events arrive as far apart as they were sent."""
    seen = not_tried("nothing was run")
    for _ in range(target.limits.tries):
        with target.run(door, target.paced(10, 400)) as stream:
            seen = _apart(stream.whole())
        if seen.verdict is not Verdict.FAILS:
            return seen
    return seen


def _apart(frames: Sequence[Frame]) -> Outcome:
    spoken = [frame for frame in frames if frame.event == "CONTENT_DELTA"]
    if len(spoken) < 4 or spoken[-1].said_s - spoken[0].said_s < _TELLING_S:
        return not_tried("the answer was too short to tell")
    gaps = [(b.said_s - a.said_s, b.at - a.at) for a, b in pairwise(spoken)]
    telling = [(said, came) for said, came in gaps if said >= 0.1]
    if not telling:
        return not_tried("the answer's pieces were said too close together to tell")
    bursts = sum(came < said / 2 for said, came in telling)
    took = f"over {spoken[-1].at - spoken[0].at:.1f} s, said over {sum(g[0] for g in gaps):.1f} s"
    if bursts > len(telling) / 4:
        return fails(f"{bursts} of {len(telling)} came together with the one before, {took}")
    return holds(f"{len(spoken)} {took}")


def cancelled(target: Target, door: Door) -> Outcome:
    """Cancel a run that is under way, and measure how long it goes on."""
    if door in target.held_back:
        return not_tried(_NEEDS_START)
    if Door.REST not in target.doors:
        return not_tried("runs are cancelled through the REST API, which is not given")
    limit_s = target.limits.cancel_s
    with target.run(door, target.paced(600, 100)) as stream, ThreadPoolExecutor(1) as other:
        stream.up_to(1, within_s=target.limits.answer_s)
        deleted = other.submit(_timed_cancel, target, stream.run_id)
        try:
            stream.whole(within_s=target.limits.answer_s + limit_s + _LATE_S)
        except SilentError:
            return fails(f"the run went on, {limit_s + _LATE_S:.0f} s and more after the cancel")
        answer, answered_at = deleted.result()
    if answer.status != 204:
        return fails(f"the cancel was answered {answer.summary}, not 204")
    return _cancelled_in_time(stream.seen[-1], answered_at, limit_s)


def _cancelled_in_time(last: Frame, answered_at: float, limit_s: float) -> Outcome:
    if last.event != "CANCELLED":
        return fails(f"the stream ended with {last.event}, not CANCELLED")
    # The stream may end before the cancel's own answer arrives.
    took = f"{max(0, last.at - answered_at):.1f} s after the 204; the limit is {limit_s:.1f} s"
    return holds(took) if last.at - answered_at <= limit_s else fails(took)


def _timed_cancel(target: Target, run_id: str) -> tuple[Answer, float]:
    return cancel(target, run_id), time.monotonic()


def cancel(target: Target, run_id: str) -> Answer:
    """Cancel a run. Raises as `ask` does."""
    return target.ask(Door.REST, "DELETE", f"{target.runs_of(target.paced_agent)}/{run_id}")


def reattached(target: Target, door: Door) -> Outcome:
    """Lose a stream in the middle of its run, and attach to the run after the last id."""
    if door in target.held_back:
        return not_tried(_NEEDS_START)
    with target.run(door, target.paced(15, 200)) as stream:
        last = stream.up_to(4, within_s=target.limits.answer_s).id
    with target.attach(door, stream.run_id, last) as rest:
        ids = [frame.id for frame in rest.whole()]
    if ids != list(range(last + 1, last + 1 + len(ids))):
        return fails(f"after event {last} came {_shown(ids)}")
    if rest.seen[-1].event != "STOP":
        return fails(f"the run ended with {rest.seen[-1].event}, not STOP")
    return holds(f"cut after event {last}, then {ids[0]} to {ids[-1]}, nothing missing")


def _shown(ids: Sequence[int]) -> str:
    return f"{', '.join(map(str, ids[:12]))}{', …' if len(ids) > 12 else ''}"


def long_stream(target: Target, door: Door) -> Outcome:
    """Hold a stream open for minutes, mostly with nothing but pings."""
    if not target.long:
        return not_tried("only with --long, which takes 6 minutes a door")
    if not target.can_be_paced:
        return not_tried("needs the agent echo, or another without tools on the demo model")
    pauses = 6
    each_ms = int(target.limits.long_s / pauses * 1000)
    begun = time.monotonic()
    with target.run(door, target.paced(pauses, each_ms)) as stream:
        try:
            stream.whole(within_s=target.limits.long_s + 60)
        except ExchangeError as error:
            return fails(f"after {time.monotonic() - begun:.0f} s: {error}")
    return _long_enough(stream, time.monotonic() - begun)


def _long_enough(stream: RunStream, lasted_s: float) -> Outcome:
    last = stream.seen[-1].event
    if last != "STOP":
        return fails(f"ended with {last} after {lasted_s:.0f} s")
    return holds(f"{lasted_s:.0f} s, {stream.pings} pings, then STOP")
