"""`agentrun webhooks`: a receiver for this machine."""

from typing import Annotated

import typer

from agentrun_local.commands.options import DEFAULT_TEMPLATE, Template

DEFAULT_PORT = 8004

webhooks = typer.Typer(help="Receive webhooks on this machine.")

Port = Annotated[int, typer.Option(help="0: any free port.")]
Secret = Annotated[str | None, typer.Option(help="whsec_…; default: the local stack's own.")]
Count = Annotated[
    int | None, typer.Option(metavar="N", help="End after N webhooks; default: at Ctrl-C.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print each as one line of JSON.")]


@webhooks.callback()
def _group() -> None:
    """Keep `listen` a command of its own: an app of one command has no name for it."""


@webhooks.command()
def listen(
    *,
    port: Port = DEFAULT_PORT,
    secret: Secret = None,
    count: Count = None,
    as_json: AsJson = False,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Print what arrives, and whether its signature verifies."""
    from agentrun_local.webhooks.command import ListenOptions, run_listen  # noqa: PLC0415

    return run_listen(ListenOptions(port, secret, count, as_json, template))
