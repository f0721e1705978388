"""`agentrun init`, `upgrade` and `deploy`: a project of one's own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agentrun_local.commands.doctor import AwsProfile, ConfigEnv, Region
from agentrun_local.commands.options import DEFAULT_TEMPLATE, Parameters, Template, assignments

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]
Name = Annotated[
    str | None, typer.Option(help="The project's and its stacks' name; default: the folder's.")
]

Project = Annotated[Path, typer.Option(help="The project's folder.", show_default="this one")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if there is anything.")]

NoBuild = Annotated[bool, typer.Option("--no-build", help="Deploy what sam build has left.")]


def init(folder: Folder, *, name: Name = None) -> int:
    """Make a project of your own: agents, tools, tests, a template, and a workflow for CI."""
    from agentrun_project.creating import create_project  # noqa: PLC0415

    print(create_project(folder, name))
    return 0


def upgrade(*, check: Check = False, project: Project = Path()) -> int:
    """Bring a project's template and settings up to the installed framework, keeping your edits."""
    from agentrun_project.upgrading import run_upgrade  # noqa: PLC0415

    return run_upgrade(project, check=check)


def deploy(
    *,
    config_env: ConfigEnv = "default",
    region: Region = None,
    profile: AwsProfile = None,
    parameter: Parameters = [],  # noqa: B006 - typer copies it
    no_build: NoBuild = False,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Build and deploy; the first time, ask for what has no good default, and keep the answers."""
    given = assignments(parameter)
    from agentrun_local.deploy.command import DeployOptions, run_deploy  # noqa: PLC0415

    options = DeployOptions(template.resolve(), config_env, region, profile, given, no_build)
    return run_deploy(options, typer.prompt if sys.stdin.isatty() else None)
