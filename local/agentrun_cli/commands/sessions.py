"""`agentrun sessions`: conversations."""

from itertools import islice
from typing import Annotated

import typer

from agentrun_cli.commands.json_option import AsDocument, AsLines
from agentrun_cli.commands.runs import Limit, User
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected
from agentrun_cli.errors import ExitStatus, UsageError
from agentrun_cli.terminal.complaints import complain, remark
from agentrun_cli.terminal.documents import print_columns, print_document, print_line
from agentrun_cli.terminal.screen import can_ask

COLUMNS = {"id": 36, "agentId": 16, "userId": 16, "updatedAt": 24, "title": 40}

sessions = typer.Typer(help="List, show and delete conversations.")

Agent = Annotated[str | None, typer.Option(metavar="AGENT", help="Only of this agent.")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION")]
SessionIds = Annotated[list[str], typer.Argument(metavar="SESSION...")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@sessions.command("list")
@connected
def list_sessions(
    connection: Connection,
    *,
    agent: Agent = None,
    user: User = None,
    limit: Limit = 20,
    as_json: AsLines = False,
) -> int:
    """List conversations, the most recently used first."""
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    found = connection.client.sessions.list(agent_id=agent, user_id=user)
    listed = (as_wire(session) for session in islice(found, limit))
    if as_json:
        for session in listed:
            print_line(session)
    else:
        print_columns(COLUMNS, listed, none="no conversations")
    return ExitStatus.DONE


@sessions.command()
@connected
def show(connection: Connection, session: SessionId, *, as_json: AsDocument = False) -> int:
    """Show what was said in a conversation."""
    from agentrun_cli.showing.past import show_messages  # noqa: PLC0415
    from agentrun_cli.terminal.screen import console  # noqa: PLC0415
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    found = connection.client.sessions.get(session)
    if as_json:
        print_document(as_wire(found))
    else:
        show_messages(found.messages or (), console())
    return ExitStatus.DONE


@sessions.command()
@connected
def delete(connection: Connection, session: SessionIds, *, yes: Yes = False) -> int:
    """Delete conversations, with their messages and runs."""
    from agentrun_client import ApiError  # noqa: PLC0415

    if not yes:
        _confirm(len(session))
    status = ExitStatus.DONE
    for session_id in session:
        try:
            connection.client.sessions.delete(session_id)
        except ApiError as error:
            complain(f"not deleted: {session_id}: {error.status} {error.detail}")
            status = ExitStatus.FAILED
        else:
            remark(f"deleted {session_id}")
    return status


def _confirm(count: int) -> None:
    from agentrun_cli.terminal.asking import ask, choose  # noqa: PLC0415

    if not can_ask():
        raise UsageError("nobody can be asked here: to delete, give --yes")
    what = "this conversation" if count == 1 else f"these {count} conversations"
    if choose(ask, f"Delete {what} and all runs of it?", ["yes", "no"]) == "no":
        raise typer.Exit(ExitStatus.FAILED)
