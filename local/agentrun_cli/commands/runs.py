"""`agentrun runs`: list, show, watch, cancel and stop runs."""

from itertools import islice
from typing import Annotated, Literal

import typer

from agentrun_cli.commands.json_option import AsDocument, AsLines
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected
from agentrun_cli.errors import ExitStatus, UsageError
from agentrun_cli.running.form import form_of
from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.documents import print_columns, print_document, print_line

COLUMNS = {"id": 36, "status": 9, "agentId": 16, "userId": 16, "createdAt": 24, "input": 40}
STOP_WITHIN_S = 60.0

runs = typer.Typer(help="List, show, watch, cancel and stop runs.")

RunStatus = Annotated[
    Literal["QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"] | None,
    typer.Option(help="Only runs of this status."),
]
Agent = Annotated[str | None, typer.Option(metavar="AGENT", help="Only runs of this agent.")]
Session = Annotated[str | None, typer.Option(metavar="SESSION", help="Only of this session.")]
User = Annotated[str | None, typer.Option(metavar="USER", help="An admin may name others.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
RunId = Annotated[str, typer.Argument(metavar="RUN")]
RunIds = Annotated[list[str], typer.Argument(metavar="RUN...")]
AnyRunIds = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...")]
All = Annotated[
    bool, typer.Option("--all", help="All that have not ended: an admin's organisation's.")
]
Within = Annotated[
    float, typer.Option(metavar="S", help="How long --all goes on until none is left.")
]
After = Annotated[int, typer.Option("--from", metavar="ID", min=0, help="After this event.")]
AsEvents = Annotated[
    bool, typer.Option("--events", help="Print every event as it comes, one JSON object a line.")
]


@runs.command("list")
@connected
def list_runs(
    connection: Connection,
    *,
    status: RunStatus = None,
    agent: Agent = None,
    session: Session = None,
    user: User = None,
    limit: Limit = 20,
    as_json: AsLines = False,
) -> int:
    """List runs, the newest first; an admin sees all under way."""
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    found = connection.client.runs.list(
        status=status, agent_id=agent, session_id=session, user_id=user
    )
    listed = (as_wire(run) for run in islice(found, limit))
    if as_json:
        for run in listed:
            print_line(run)
    else:
        print_columns(COLUMNS, listed, none="no runs")
    return ExitStatus.DONE


@runs.command()
@connected
def get(connection: Connection, run: RunId, *, as_json: AsDocument = True) -> int:  # noqa: ARG001 - in any case
    """Print one run as JSON."""
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    print_document(as_wire(connection.client.runs.get(run)))
    return ExitStatus.DONE


@runs.command()
@connected
def watch(
    connection: Connection,
    run: RunId,
    *,
    after: After = 0,
    as_events: AsEvents = False,
    as_json: AsDocument = False,
) -> int:
    """Follow a run to its end, from its beginning; Ctrl-C leaves it running."""
    from agentrun_cli.running.attaching import attach  # noqa: PLC0415

    form = form_of(as_events=as_events, as_json=as_json)
    return attach(connection.client, run, after=after, form=form)


@runs.command()
@connected
def cancel(connection: Connection, run: RunIds) -> int:
    """Cancel runs; each ends some seconds later."""
    return _stop_named(connection, run)


@runs.command()
@connected
def stop(
    connection: Connection,
    run: AnyRunIds = None,
    *,
    every: All = False,
    within: Within = STOP_WITHIN_S,
) -> int:
    """Cancel runs; exit with 0 if all of them end, and 1 if not."""
    if bool(run) == every:
        raise UsageError("runs stop takes the ids of runs, or --all")
    if run:
        return _stop_named(connection, run)
    from agentrun_cli.running.stopping import stop_all  # noqa: PLC0415

    stopped = stop_all(connection.client.runs, within_s=within, tell=remark)
    print(stopped.told())
    return ExitStatus.DONE if stopped.is_done else ExitStatus.FAILED


def _stop_named(connection: Connection, run_ids: list[str]) -> int:
    from agentrun_cli.running.stopping import stop_named  # noqa: PLC0415

    stopped = stop_named(connection.client.runs, run_ids)
    print(stopped.told())
    return ExitStatus.DONE if stopped.is_done else ExitStatus.FAILED
