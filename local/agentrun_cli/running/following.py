"""Follows a run's stream to its end; Ctrl-C cancels the run, and again leaves it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from agentrun_cli.errors import ExitStatus
from agentrun_client import (
    AgentrunError,
    Cancelled,
    Client,
    Failed,
    Paused,
    Run,
    RunEvent,
    RunStream,
    Start,
    Stop,
    TerminalEvent,
)

_CANCELLING = b"\ncancelling the run; Ctrl-C again leaves\n"


class Shows(Protocol):
    """Takes a run's events."""

    def show(self, event: RunEvent) -> None:
        """Take the next event."""
        ...


@dataclass(frozen=True)
class Followed:
    """What a stream was of, and how it ended; None where nothing was left to read."""

    start: Start | None
    end: TerminalEvent | None


def follow(client: Client, stream: RunStream, view: Shows) -> Followed:
    """
    Show a stream's events to its end.

    Raises:
        KeyboardInterrupt: Ctrl-C before the run has begun, or for the second time.
        AgentrunError: As the stream.
    """
    start: Start | None = None
    end: TerminalEvent | None = None
    with stream, _cancelling(client, stream):
        for event in stream:
            view.show(event)
            start = event if isinstance(event, Start) else start
            end = end_after(event, end)
    return Followed(start, end)


def end_after(event: RunEvent, end: TerminalEvent | None) -> TerminalEvent | None:
    """
    Return how a run has ended as far as its events tell; None if it goes on.

    Args:
        event: The next event.
        end: What the ones before told.
    """
    match event:
        case Start():
            # In a replay, the pause before a continuation is not the end.
            return None
        case Stop() | Failed() | Paused() | Cancelled():
            return event
        case _:
            return end


@contextmanager
def _cancelling(client: Client, stream: RunStream) -> Iterator[None]:
    """Cancel the run at the first Ctrl-C, from another thread, while its stream is read on."""
    was_asked = False

    def cancel() -> None:
        try:
            client.runs.cancel(str(stream.run_id))
        except AgentrunError as error:
            print(f"agentrun: not cancelled: {error}", file=sys.stderr, flush=True)

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_asked
        if was_asked or stream.run_id is None:
            raise KeyboardInterrupt
        was_asked = True
        # Not `print`: the signal may have come in the middle of one.
        os.write(2, _CANCELLING)
        threading.Thread(target=cancel, daemon=True).start()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def exit_status_of_record(run: Run) -> ExitStatus:
    """Return the exit status that tells how a run has ended, by its record."""
    match run.status:
        case "FAILED":
            return ExitStatus.FAILED
        case "PAUSED":
            return ExitStatus.PAUSED
        case "CANCELLED":
            return ExitStatus.CANCELLED
        case "COMPLETED" | "QUEUED" | "RUNNING":
            return ExitStatus.DONE


def exit_status(end: TerminalEvent | None) -> ExitStatus:
    """Return the exit status that tells how a run has ended."""
    match end:
        case Failed():
            return ExitStatus.FAILED
        case Paused():
            return ExitStatus.PAUSED
        case Cancelled():
            return ExitStatus.CANCELLED
        case Stop() | None:
            return ExitStatus.DONE
