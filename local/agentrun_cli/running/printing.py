"""What `run`, `runs watch` and `replay` put on standard output, and what beside it."""

import sys

from agentrun_cli.errors import ExitStatus
from agentrun_cli.running.carrying_on import Ended, how_to_go_on
from agentrun_cli.running.following import Shows, exit_status, exit_status_of_record
from agentrun_cli.running.form import Form
from agentrun_cli.showing.view import RunView
from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.documents import print_document, print_line
from agentrun_cli.terminal.screen import console
from agentrun_cli.terminal.wire import as_wire, event_as_wire
from agentrun_client import Paused, Run, RunEvent


class EventLines:
    """Prints every event as a line of JSON."""

    def show(self, event: RunEvent) -> None:
        """Print the event."""
        print_line(event_as_wire(event))


def view_for(form: Form) -> Shows:
    """
    Return what shows a run while it happens.

    A terminal gets the answer as it comes. A pipe gets it at its end: a step may be made again, and
    what is piped cannot be taken back.
    """
    if form == "events":
        return EventLines()
    answers = console() if form == "answer" and sys.stdout.isatty() else None
    return RunView(console(of_errors=True), answers)


def tell_status(run: Run) -> ExitStatus:
    """Say how a run stands of which no more events follow, and return the exit status."""
    remark(f"nothing follows: the run is {run.status}")
    if run.status == "PAUSED":
        remark(how_to_go_on(run.agent_id, run.id))
    return exit_status_of_record(run)


def finish(ended: Ended, form: Form) -> ExitStatus:
    """Print what is left to print of a run, and return the exit status."""
    stream = ended.stream
    if ended.end is None:
        remark("nothing follows")
    elif form == "json":
        print_document(as_wire(stream.result()))
    elif form == "answer" and not sys.stdout.isatty():
        # The bytes of the answer and no others, whatever the locale.
        sys.stdout.flush()
        sys.stdout.buffer.write(stream.result().text.encode())
        sys.stdout.buffer.flush()
    if isinstance(ended.end, Paused):
        remark(how_to_go_on(ended.agent_id, str(stream.run_id)))
    return exit_status(ended.end)
