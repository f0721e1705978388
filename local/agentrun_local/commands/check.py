"""`agentrun check`: what is wrong with a project, before anything of it is built."""

from pathlib import Path
from typing import Annotated

import typer

from agentrun_local.commands.options import DEFAULT_TEMPLATE, Template
from agentrun_project.build import LOCKS

Locks = Annotated[
    Path | None,
    typer.Option(
        show_default=False,
        help="The folder of the layers' hashed requirement files; default: this framework's.",
    ),
]
ConfigEnv = Annotated[str, typer.Option(help="Of samconfig.toml: whose Model and SecretsArn.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail on warnings, too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a list of objects.")]


def check(
    *,
    template: Template = DEFAULT_TEMPLATE,
    locks: Locks = None,
    config_env: ConfigEnv = "default",
    strict: Strict = False,
    json: AsJson = False,
) -> int:
    """Find what is wrong with agents, tools and parameters, without AWS and before a build."""
    # Imported here, as in the other commands: it takes a second, which `token` need not wait.
    from agentrun_local.check.command import CheckOptions, run_check  # noqa: PLC0415

    folder = (locks or LOCKS).resolve()
    options = CheckOptions(template.resolve(), folder, config_env, is_strict=strict, as_json=json)
    return run_check(options)
