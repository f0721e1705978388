"""`agentrun doctor`: what would make a deployment or its runs fail."""

from typing import Annotated

import typer

from agentrun_local.commands.options import (
    DEFAULT_TEMPLATE,
    Parameters,
    Template,
    assignments,
)

ConfigEnv = Annotated[str, typer.Option(help="Of samconfig.toml, as for sam.")]
Region = Annotated[
    str | None, typer.Option(help="Default: samconfig.toml's, then your AWS settings'.")
]
AwsProfile = Annotated[str | None, typer.Option(help="An AWS profile; default: as for --region.")]


def doctor(
    *,
    config_env: ConfigEnv = "default",
    region: Region = None,
    profile: AwsProfile = None,
    parameter: Parameters = [],  # noqa: B006 - typer copies it
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Find what would make a deployment or its runs fail, with your AWS credentials, read only."""
    given = assignments(parameter)
    from agentrun_local.doctor.command import run_doctor  # noqa: PLC0415
    from agentrun_local.doctor.deployment import DoctorOptions  # noqa: PLC0415

    return run_doctor(
        DoctorOptions(
            template=template.resolve(),
            config_env=config_env,
            region=region,
            profile=profile,
            parameters=given,
        )
    )
