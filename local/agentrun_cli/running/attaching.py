"""Attaches to runs that somebody else has started: to follow them, or to show them again."""

import time
from collections.abc import Callable

from agentrun_cli.errors import ExitStatus
from agentrun_cli.running.carrying_on import Ended
from agentrun_cli.running.following import Shows, end_after
from agentrun_cli.running.form import Form
from agentrun_cli.running.printing import finish, tell_status, view_for
from agentrun_client import Client, RunEvent, TerminalEvent


def attach(client: Client, run_id: str, *, after: int, form: Form) -> ExitStatus:
    """
    Show a run's events after an id, and follow it to its end or its pause.

    Raises:
        AgentrunError: There is no such run, or its stream is lost.
    """
    return _show(client, run_id, after, form, view_for(form))


def replay(
    client: Client, run_id: str, *, after: int, form: Form, speed: float | None, max_gap_s: float
) -> ExitStatus:
    """
    Show a run at the pace at which it happened.

    Args:
        client: The deployment's.
        run_id: The run.
        after: The id of the last event to leave out.
        form: What to print.
        speed: How many times as fast; None: without waiting.
        max_gap_s: The longest time to wait between two events, at that speed.

    Raises:
        AgentrunError: As `attach`.
    """
    view = view_for(form)
    paced = view if speed is None else Paced(view, speed, max_gap_s)
    return _show(client, run_id, after, form, paced)


class Paced:
    """Waits before each event for as long as it came after the one before."""

    def __init__(
        self,
        view: Shows,
        speed: float,
        max_gap_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._view = view
        self._speed = speed
        self._max_gap_s = max_gap_s
        self._clock = clock
        self._sleep = sleep
        self._timestamp: int | None = None
        self._shown_at = 0.0

    def show(self, event: RunEvent) -> None:
        """Wait until it is the event's turn, and show it."""
        if self._timestamp is not None:
            gap_s = max(0, event.timestamp - self._timestamp) / 1000 / self._speed
            due = self._shown_at + min(gap_s, self._max_gap_s)
            # From when the last one was shown, so that what a live run takes is not waited again.
            self._sleep(max(0.0, due - self._clock()))
        self._view.show(event)
        self._timestamp, self._shown_at = event.timestamp, self._clock()


def _show(client: Client, run_id: str, after: int, form: Form, view: Shows) -> ExitStatus:
    agent_id = client.runs.get(run_id).agent_id
    end: TerminalEvent | None = None
    with client.runs.attach(agent_id, run_id, after=after) as stream:
        for event in stream:
            view.show(event)
            end = end_after(event, end)
    if end is None:
        return tell_status(client.runs.get(run_id))
    return finish(Ended(stream, agent_id, end), form)
