"""`agentrun redrive`: dead letters go back to where they came from."""

from typing import Annotated, Literal

import typer

from agentrun_local.commands.options import DEFAULT_TEMPLATE, Region, Template

Queue = Annotated[Literal["runs", "webhooks"], typer.Option(help="Whose dead letters.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be moved.")]
AtMost = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Default: as many as there are at the start, so that none is moved twice.",
    ),
]
StackName = Annotated[str | None, typer.Option("--stack", help="A CloudFormation stack.")]
QueuesUrl = Annotated[str | None, typer.Option(help="What `agentrun dev` prints beside SQS.")]
AwsProfile = Annotated[str | None, typer.Option(help="An AWS profile.")]


def redrive(
    *,
    queue: Queue = "runs",
    dry_run: DryRun = False,
    at_most: AtMost = None,
    stack: StackName = None,
    queues_url: QueuesUrl = None,
    region: Region = None,
    profile: AwsProfile = None,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Send a queue's dead letters back to it."""
    if (stack is None) == (queues_url is None):
        raise typer.BadParameter("give one of them", param_hint="--stack, --queues-url")
    from agentrun_local.redrive.command import RedriveOptions, run_redrive  # noqa: PLC0415

    return run_redrive(
        RedriveOptions(queue, dry_run, at_most, stack, queues_url, region, profile, template)
    )
