"""`agentrun agents`: what can be run."""

from typing import Annotated

import typer

from agentrun_cli.commands.json_option import AsDocument, AsLines
from agentrun_cli.commands.run_options import AgentId
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected, only_behind_actions
from agentrun_cli.errors import ExitStatus
from agentrun_cli.terminal.documents import (
    print_columns,
    print_document,
    print_facts,
    print_line,
)

COLUMNS = {"id": 20, "model": 24, "description": 80}

agents = typer.Typer(invoke_without_command=True)

Inactive = Annotated[bool, typer.Option("--all", help="Those that cannot be run, too.")]


@agents.callback()
@connected
def agents_alone(
    connection: Connection,
    context: typer.Context,
    *,
    inactive: Inactive = False,
    as_json: AsLines = False,
) -> int:
    """List the agents, or show one."""
    if context.invoked_subcommand is None:
        return _list(connection, inactive=inactive, as_json=as_json)
    only_behind_actions(connection, inactive or as_json)
    return ExitStatus.DONE


@agents.command("list")
@connected
def list_agents(
    connection: Connection, *, inactive: Inactive = False, as_json: AsLines = False
) -> int:
    """List the agents; also what `agentrun agents` alone does."""
    return _list(connection, inactive=inactive, as_json=as_json)


def _list(connection: Connection, *, inactive: bool, as_json: bool) -> int:
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    found = [as_wire(agent) for agent in connection.client.agents.list(include_inactive=inactive)]
    if as_json:
        for agent in found:
            print_line(agent)
    else:
        print_columns(COLUMNS, found, none="no agents")
    return ExitStatus.DONE


@agents.command()
@connected
def show(connection: Connection, agent: AgentId, *, as_json: AsDocument = False) -> int:
    """Show an agent: its models, tools and what files it takes."""
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    found = connection.client.agents.get(agent)
    if as_json:
        print_document(as_wire(found))
        return ExitStatus.DONE
    facts: list[tuple[str, object]] = [
        ("id", found.id),
        ("name", found.name),
        ("description", found.description),
        ("model", found.model),
        ("models", found.models),
        ("files", found.media),
        ("can be run", "yes" if found.active else "no"),
    ]
    for tool in found.tools:
        asks = " (asks for approval)" if tool.requires_approval else ""
        facts.append(("tool", f"{tool.name}{asks}: {tool.description}"))
    print_facts(facts)
    return ExitStatus.DONE
