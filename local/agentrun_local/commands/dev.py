"""`agentrun dev` and `agentrun invoke`: the stack on this machine."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentrun_local.commands.options import (
    DEFAULT_TEMPLATE,
    EnvFiles,
    Model,
    Parameters,
    Template,
    assignments,
)

if TYPE_CHECKING:
    from agentrun_local.stack import StackOptions

Port = Annotated[int, typer.Option(min=0, max=65_535, help="REST API; 0: any free port.")]
UrlPort = Annotated[int, typer.Option(min=0, max=65_535, help="Function URL; 0: any free port.")]
DynamoUrl = Annotated[
    str | None,
    typer.Option("--dynamodb-url", help="A running DynamoDB; default: moto's server."),
]
TableUrl = Annotated[
    str | None,
    typer.Option("--table-url", help="A running DynamoDB, for example the one of dev."),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(help="Write URLs and a token to this file, as JSON, once ready."),
]
FunctionName = Annotated[
    str, typer.Argument(metavar="FUNCTION", help="StatusFunction, or just status.")
]
EventFile = Annotated[
    Path,
    typer.Argument(metavar="EVENT", help="JSON file; ${TOKEN} in it becomes a dev token."),
]


def dev(
    *,
    port: Port = 8000,
    url_port: UrlPort = 8001,
    model: Model = "demo",
    parameter: Parameters = [],  # noqa: B006 - typer copies it
    env_file: EnvFiles = [],  # noqa: B006
    dynamodb_url: DynamoUrl = None,
    ready_file: ReadyFile = None,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Run the whole stack in the foreground, until Ctrl-C."""
    given = assignments(parameter)
    # Imported here, as in the other commands: it takes a second, which `token` need not wait.
    from agentrun_local.dev import DevOptions, run_dev  # noqa: PLC0415

    stack = _stack_options(template, model, dynamodb_url, given, env_file)
    try:
        asyncio.run(run_dev(stack, DevOptions(port, url_port, ready_file)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Ctrl-C is the way to end the stack.
        return 0
    return 0


def invoke(
    function: FunctionName,
    event: EventFile,
    *,
    model: Model = "demo",
    parameter: Parameters = [],  # noqa: B006
    env_file: EnvFiles = [],  # noqa: B006
    dynamodb_url: TableUrl = None,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Send one event to a function, and print what it answers."""
    given = assignments(parameter)
    from agentrun_local.invoke import run_invoke  # noqa: PLC0415

    stack = _stack_options(template, model, dynamodb_url, given, env_file)
    return asyncio.run(run_invoke(stack, function, event))


def _stack_options(
    template: Path,
    model: str,
    dynamodb_url: str | None,
    parameters: dict[str, str],
    env_files: list[Path],
) -> "StackOptions":
    from agentrun_local.machine.variables import read_env_files  # noqa: PLC0415
    from agentrun_local.stack import StackOptions  # noqa: PLC0415

    return StackOptions(
        template=template.resolve(),
        model=model,
        dynamodb_url=dynamodb_url,
        parameters=parameters,
        variables=read_env_files(env_files),
    )
