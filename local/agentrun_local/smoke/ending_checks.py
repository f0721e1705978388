"""Checks that answers without a stream end: their connection closes, or serves the next request."""

import time
from collections.abc import Callable
from functools import partial
from uuid import uuid4

from agentrun_local.smoke.connection import ClosedError, Connection, Head, SilentError
from agentrun_local.smoke.outcome import Outcome, fails, holds
from agentrun_local.smoke.target import Door, Target

_NOT_AS_DOCUMENTED = (
    "The API does not answer this here: something in front has answered, or the function has "
    "failed; its log, /agentrun/STACK/stream, says whether it was called."
)


def no_content_ends(target: Target, door: Door) -> Outcome:
    """Attach to an ended run after its last event, for a 204."""
    ended = target.ended_run()
    cursor = str(ended.seen[-1].id)
    return _ends(target, door, "GET", target.stream_of(ended.run_id), 204, cursor)


def head_ends(target: Target, door: Door) -> Outcome:
    """Send a HEAD, which no route takes."""
    expected = 404 if door is Door.REST else 405
    return _ends(target, door, "HEAD", target.stream_of(str(uuid4())), expected)


def error_ends(target: Target, door: Door) -> Outcome:
    """Attach to a run that is not there."""
    return _ends(target, door, "GET", target.stream_of(str(uuid4())), 404)


def _ends(
    target: Target, door: Door, method: str, path: str, expected: int, cursor: str = "0"
) -> Outcome:
    limits = target.limits
    fields = {**target.bearer(), "Last-Event-ID": cursor}
    with Connection(target.doors[door]) as connection:
        head = connection.request(method, path, fields, within_s=limits.answer_s)
        if head.status != expected:
            return fails(f"answered {head.status}, not {expected}", _NOT_AS_DOCUMENTED)
        until = time.monotonic() + limits.end_s
        try:
            for _ in connection.pieces(silent_s=limits.end_s, until=until):
                pass
        except SilentError:
            return fails(f"{head.status}, and no end within {limits.end_s:.0f} s of its head")
        took = f"{head.status}, ended {time.monotonic() - head.at:.1f} s after its head"
        if connection.says_it_closes:
            if connection.closes(within_s=limits.end_s):
                return holds(f"{took} by closing")
            return fails(f"{head.status}, and its connection does not close as it says")
        again = partial(connection.request, method, path, fields, within_s=limits.end_s)
        return _serves_again(again, head.status, took)


def _serves_again(again: Callable[[], Head], status: int, took: str) -> Outcome:
    """Check that the connection of an answer that looks complete serves one more request."""
    try:
        second = again()
    except ClosedError:
        return holds(f"{took} by closing")
    except SilentError:
        return fails(f"{status}, and its connection serves no further request")
    if second.status != status:
        return fails(f"answered {status}, then {second.status} on the same connection")
    return holds(f"{took}; its connection served the next request")
