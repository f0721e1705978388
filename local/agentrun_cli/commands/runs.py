"""`agentrun runs`: list, show and stop the runs of a stack."""

from itertools import islice
from typing import Annotated, Literal

import typer

from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected
from agentrun_cli.errors import UsageError
from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.documents import print_columns, print_document, print_line
from agentrun_local.runs.remote import RemoteRuns
from agentrun_local.runs.stopping import Stopped, stop_all, stop_named

COLUMNS = {"id": 36, "status": 9, "agentId": 16, "userId": 16, "createdAt": 24, "input": 40}
STOP_WITHIN_S = 60.0

runs = typer.Typer(help="List, show, watch and stop runs.")

Status = Annotated[
    Literal["QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"] | None,
    typer.Option(help="Only runs of this status."),
]
Agent = Annotated[str | None, typer.Option(metavar="AGENT")]
Session = Annotated[str | None, typer.Option(metavar="SESSION")]
User = Annotated[str | None, typer.Option(metavar="USER", help="An admin may name others.")]
Limit = Annotated[int, typer.Option(min=1)]
AsLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
RunId = Annotated[str, typer.Argument(metavar="RUN")]
RunIds = Annotated[list[str] | None, typer.Argument(metavar="[RUN]…")]
All = Annotated[
    bool, typer.Option("--all", help="All that have not ended: an admin's organisation's.")
]
Within = Annotated[
    float, typer.Option(metavar="S", help="How long --all goes on until none is left.")
]


@runs.command("list")
@connected
def list_runs(
    connection: Connection,
    *,
    status: Status = None,
    agent: Agent = None,
    session: Session = None,
    user: User = None,
    limit: Limit = 20,
    as_json: AsLines = False,
) -> int:
    """List runs, the newest first; an admin sees all under way."""
    found = _runs(connection).listed(status=status, agentId=agent, sessionId=session, userId=user)
    listed = islice(found, limit)
    if as_json:
        for run in listed:
            print_line(run)
    else:
        print_columns(COLUMNS, listed)
    return 0


@runs.command()
@connected
def get(connection: Connection, run: RunId) -> int:
    """Print one run as JSON."""
    print_document(_runs(connection).run(run))
    return 0


@runs.command()
@connected
def stop(
    connection: Connection,
    run: RunIds = None,
    *,
    every: All = False,
    within: Within = STOP_WITHIN_S,
) -> int:
    """Cancel runs; exit with 0 if all of them end, and 1 if not."""
    named = run or []
    if bool(named) == every:
        raise UsageError("runs stop takes the ids of runs, or --all")
    remote = _runs(connection)
    stopped = stop_all(remote, within_s=within, tell=remark) if every else stop_named(remote, named)
    print(_told(stopped))
    return 0 if stopped.is_done else 1


def _told(stopped: Stopped) -> str:
    lines = [f"not stopped: {reason}" for reason in stopped.refused.values()]
    lines += [f"not ended yet: {run_id}" for run_id in sorted(stopped.left)]
    count = len(stopped.ended)
    return "\n".join([*lines, f"stopped {count} run{'' if count == 1 else 's'}"])


def _runs(connection: Connection) -> RemoteRuns:
    target = connection.target
    return RemoteRuns(target.base_url, target.token())
