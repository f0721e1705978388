"""Checks of what is recorded: replay, status, batch, and status while the function is full."""

from contextlib import ExitStack, suppress
from uuid import uuid4

from agentrun_local.smoke.connection import ExchangeError
from agentrun_local.smoke.outcome import Outcome, fails, holds, not_tried
from agentrun_local.smoke.run_stream import RunStream, content
from agentrun_local.smoke.stream_checks import cancel
from agentrun_local.smoke.target import Door, RefusedError, Target


def replayed(target: Target, door: Door) -> Outcome:
    """Replay an ended run: all of it, then its second half."""
    ended = target.ended_run()
    told = [(frame.id, frame.event, frame.data) for frame in ended.seen]
    for cursor in (0, len(told) // 2):
        with target.attach(door, ended.run_id, cursor) as stream:
            again = [(frame.id, frame.event, frame.data) for frame in stream.whole()]
        if again != told[cursor:]:
            return fails(f"after event {cursor} of {len(told)} came other events than at first")
    return holds(f"{len(told)} events, from the start and from the middle, as at first")


def recorded(target: Target, door: Door) -> Outcome:
    """Compare a run's stream with its status."""
    ended = target.ended_run()
    answer = target.ask(door, "GET", f"{target.runs_of(target.paced_agent)}/{ended.run_id}/status")
    run = answer.json()
    if answer.status != 200 or not isinstance(run, dict):
        return fails(f"answered {answer.summary}")
    if run.get("status") != "COMPLETED":
        return fails("the stream said STOP, and the status is not COMPLETED")
    if run.get("output") != content(ended.seen):
        return fails("the recorded output is not what was streamed")
    return holds("COMPLETED, with the output that was streamed")


def batch(target: Target, door: Door) -> Outcome:
    """Ask for two runs and one that does not exist."""
    first, second = (target.ended_run(number).run_id for number in range(2))
    asked = f"{second},{uuid4()},{first}"
    path = f"{target.runs_of(target.paced_agent)}/status?runIds={asked}&fields=summary"
    answer = target.ask(door, "GET", path)
    listed = answer.json()
    if answer.status != 200 or not isinstance(listed, list):
        return fails(f"answered {answer.summary}")
    ids = [run.get("id") for run in listed if isinstance(run, dict)]
    if ids != [second, first]:
        return fails(f"{len(ids)} runs came, not the two that are there in the order asked")
    return holds("two runs in the order asked, the unknown one absent")


def at_limit(target: Target, door: Door) -> Outcome:
    """Take every place of the stream function, and ask for a status."""
    places = target.at_limit
    if not places:
        return not_tried("only with --at-limit N, N being the stack's StreamConcurrency")
    if not target.can_be_paced:
        return not_tried("needs the agent echo, or another without tools on the demo model")
    known = target.ended_run().run_id
    started: list[RunStream] = []
    with ExitStack() as open_streams:
        try:
            for _ in range(places):
                run = target.run(target.streaming_door, target.paced(300, 100))
                started.append(open_streams.enter_context(run))
            refused = _one_more(target)
            answer = target.ask(door, "GET", f"{target.runs_of(target.paced_agent)}/{known}/status")
        except ExchangeError as error:
            return fails(f"with {len(started)} streams open: {error}")
        finally:
            for stream in started:
                # If this fails, the place is free again when its run ends, after 30 s.
                with suppress(ExchangeError):
                    cancel(target, stream.run_id)
    if answer.status != 200:
        return fails(f"the status was answered {answer.summary} with {places} streams open")
    if not refused:
        return not_tried(f"the status answered with {places} streams open, but one more was let in")
    return holds(f"200 with {places} streams open, and one more answered {refused}")


def _one_more(target: Target) -> str:
    """Try to start one more run; return the status of its refusal, empty if there was none."""
    try:
        with target.run(target.streaming_door, "one") as stream:
            stream.whole()
    except RefusedError as error:
        return str(error.status)
    return ""
