"""`agentrun status`: many runs at a glance."""

from typing import Annotated

import typer

from agentrun_cli.commands.json_option import AsLines
from agentrun_cli.commands.runs import RunIds
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected

Watch = Annotated[
    bool, typer.Option("--watch", help="Look again every 3 s until nothing is under way.")
]
Agent = Annotated[
    str | None,
    typer.Option(metavar="AGENT", help="The agent of all runs: saves looking it up for each."),
]


@connected
def status(
    connection: Connection,
    run: RunIds,
    *,
    watch: Watch = False,
    agent: Agent = None,
    as_json: AsLines = False,
) -> int:
    """Show runs in a table; exit with 1 if one has failed or is not there."""
    from agentrun_cli.running.status_board import StatusBoard, board_view  # noqa: PLC0415

    board = StatusBoard(connection.client, run, agent)
    with board_view(as_json=as_json, is_live=watch) as show:
        show(board.poll())
        while watch and board.goes_on:
            board.wait()
            show(board.poll())
    return board.exit_status()
