"""The options that say where a command's requests go, added to every client command."""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.profiles import profile_names
from agentrun_cli.connection.target import Given
from agentrun_cli.errors import UsageError
from agentrun_local.commands.options import DEFAULT_TEMPLATE, found_template

PANEL = "Where and as whom"
P = ParamSpec("P")


ProfileName = Annotated[
    str | None,
    typer.Option(
        help="A profile; default: $AGENTRUN_PROFILE, or the one in use.",
        rich_help_panel=PANEL,
        autocompletion=profile_names,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="REST API; default: $AGENTRUN_BASE_URL, or the local stack's.", rich_help_panel=PANEL
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="Others on this machine can see it: prefer $AGENTRUN_TOKEN or a profile.",
        rich_help_panel=PANEL,
    ),
]
Stack = Annotated[
    str | None,
    typer.Option(help="A CloudFormation stack whose outputs have the URLs.", rich_help_panel=PANEL),
]
Region = Annotated[
    str | None,
    typer.Option(help="The stack's; default: your AWS settings'.", rich_help_panel=PANEL),
]
Template = Annotated[
    Path,
    typer.Option(
        help="The local stack's template.",
        show_default=False,
        callback=found_template,
        rich_help_panel=PANEL,
    ),
]
_OPTIONS = {
    "profile": (ProfileName, None),
    "base_url": (BaseUrl, None),
    "token": (Token, None),
    "stack": (Stack, None),
    "region": (Region, None),
    "template": (Template, DEFAULT_TEMPLATE),
}


def only_behind_actions(connection: Connection, was_told: bool) -> None:
    """
    Refuse options of a group that stand before its action: they would say nothing.

    Args:
        connection: The group's own, which nothing uses.
        was_told: Whether another option of the group was given.

    Raises:
        UsageError: There are some.
    """
    if was_told or connection.is_told:
        raise UsageError("options come after the action, as in: agentrun agents list --json")


def connected(
    command: Callable[Concatenate[Connection, P], int],
) -> Callable[..., int]:
    """
    Turn a function of a connection into a command that has the options to say which.

    Typer reads a function's signature, so this makes one of the function's own parameters and the
    options. Complaints of the API become errors of the command line.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> int:
        # Untyped, as Typer gives them; it has read them by the annotations below.
        where: dict[str, Any] = {
            name: options.pop(name, default) for name, (_, default) in _OPTIONS.items()
        }
        with Connection(Given(**where), os.environ) as connection, connection.complaining():
            return command(connection, *arguments, **options)

    added = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in _OPTIONS.items()
    ]
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *added]}
    return run
