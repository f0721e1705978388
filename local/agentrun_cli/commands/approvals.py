"""`agentrun approvals`: what waits for a decision."""

from typing import TYPE_CHECKING, Annotated

import typer

from agentrun_cli.commands.json_option import AsDocument, AsLines
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected, only_behind_actions
from agentrun_cli.errors import ExitStatus
from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.documents import as_json as json_text
from agentrun_cli.terminal.documents import print_columns, print_document, print_line

if TYPE_CHECKING:
    from agentrun_client import Approval, Verdict

COLUMNS = {"approvalId": 40, "runId": 36, "agentId": 16, "type": 13, "asks": 80}

approvals = typer.Typer(invoke_without_command=True)

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL")]
Reason = Annotated[str | None, typer.Option(help="What the model is told.")]


@approvals.callback()
@connected
def approvals_alone(
    connection: Connection, context: typer.Context, *, as_json: AsLines = False
) -> int:
    """List what runs wait for, or decide it."""
    if context.invoked_subcommand is None:
        return _list(connection, as_json=as_json)
    only_behind_actions(connection, as_json)
    return ExitStatus.DONE


@approvals.command("list")
@connected
def list_approvals(connection: Connection, *, as_json: AsLines = False) -> int:
    """List what waits, the oldest first; also what `agentrun approvals` alone does."""
    return _list(connection, as_json=as_json)


def _list(connection: Connection, *, as_json: bool) -> int:
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    found = connection.client.approvals.pending()
    if as_json:
        for approval in found:
            print_line(as_wire(approval))
        return ExitStatus.DONE
    rows = ({**as_wire(one), "asks": _asks(one)} for one in found)
    print_columns(COLUMNS, rows, none="nothing waits for a decision")
    return ExitStatus.DONE


@approvals.command("approve")
@connected
def approve_all(
    connection: Connection, approval: ApprovalId, *, as_json: AsDocument = False
) -> int:
    """Approve all calls of an approval; the run goes on in the background."""
    from agentrun_client import approve  # noqa: PLC0415

    return _resolve(connection, approval, approve(), as_json=as_json)


@approvals.command("reject")
@connected
def reject_all(
    connection: Connection,
    approval: ApprovalId,
    *,
    reason: Reason = None,
    as_json: AsDocument = False,
) -> int:
    """Reject all calls of an approval; the run goes on in the background."""
    from agentrun_client import reject  # noqa: PLC0415

    return _resolve(connection, approval, reject(reason), as_json=as_json)


def _resolve(
    connection: Connection, approval: str, verdict: "Verdict", *, as_json: bool
) -> ExitStatus:
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    run = connection.client.approvals.resolve(approval, verdict)
    if as_json:
        print_document(as_wire(run))
    else:
        remark(f"decided; the run goes on: agentrun runs watch {run.id}")
    return ExitStatus.DONE


def _asks(approval: "Approval") -> str:
    calls = approval.approvals or ()
    return ", ".join(f"{call.tool_name} {json_text(call.arguments)}" for call in calls)
