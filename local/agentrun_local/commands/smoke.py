"""`agentrun smoke`: what a stack has to do, tried from outside."""

from typing import Annotated

import typer

from agentrun_local.commands.options import DEFAULT_TEMPLATE, Region, Template

MOST_AT_LIMIT = 40
"""Places of the stream function that the check at the limit may take."""

BaseUrl = Annotated[str | None, typer.Option(help="REST API; default: the local stack's.")]
FunctionUrl = Annotated[str | None, typer.Option(help="Default: the local stack's.")]
StackName = Annotated[
    str | None,
    typer.Option("--stack", help="A CloudFormation stack whose outputs have both URLs."),
]
Token = Annotated[
    str | None,
    typer.Option(help="Default: $AGENTRUN_TOKEN, or the local stack's own."),
]
Agent = Annotated[
    str | None, typer.Option(help="Agent of most checks; default: echo, on the demo model.")
]
ModelAgent = Annotated[
    str | None, typer.Option(help="Default: the first one not on the demo model.")
]
Origin = Annotated[str | None, typer.Option(help="A web origin that CorsOrigins names.")]
Long = Annotated[bool, typer.Option("--long", help="Hold a stream for 6 minutes a door.")]
AtLimit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=MOST_AT_LIMIT,
        help="Take N places of the stream function, its StreamConcurrency, and ask for a status.",
    ),
]
Skip = Annotated[
    list[str],
    typer.Option(
        metavar="CHECK[@DOOR]",
        help="Leave a check out, at both doors or one (rest, url); may be given several times.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")]


def smoke(
    *,
    base_url: BaseUrl = None,
    function_url: FunctionUrl = None,
    stack: StackName = None,
    region: Region = None,
    token: Token = None,
    agent: Agent = None,
    model_agent: ModelAgent = None,
    origin: Origin = None,
    long: Long = False,
    at_limit: AtLimit = None,
    skip: Skip = [],  # noqa: B006 - typer copies it
    as_json: AsJson = False,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Test a deployed stack, or the local one, from outside."""
    from agentrun_local.smoke.command import SmokeOptions, run_smoke  # noqa: PLC0415

    return run_smoke(
        SmokeOptions(
            base_url=base_url,
            function_url=function_url,
            stack=stack,
            region=region,
            token=token,
            agent=agent,
            model_agent=model_agent,
            origin=origin,
            long=long,
            at_limit=at_limit or 0,
            skip=skip,
            json=as_json,
            template=template,
        )
    )
