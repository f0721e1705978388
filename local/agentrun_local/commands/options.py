"""Options that several commands have, and how their texts are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from agentrun_project.build import IS_INSTALLED, ROOT

DEFAULT_TEMPLATE = Path("template.yaml")


def found_template(template: Path) -> Path:
    """Take the framework's own template where its checkout is used from another folder."""
    if template == DEFAULT_TEMPLATE and not template.exists() and not IS_INSTALLED:
        return ROOT / template
    return template


Template = Annotated[
    Path,
    typer.Option(
        show_default=False, callback=found_template, help="The template; default: this folder's."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="demo, bedrock:<id> with your AWS credentials, or another provider's.",
    ),
]
Parameters = Annotated[
    list[str],
    typer.Option(
        "--parameter",
        metavar="NAME=VALUE",
        help="A parameter of the template; may be given several times.",
    ),
]
EnvFiles = Annotated[
    list[Path],
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="NAME=VALUE lines for the functions' environment; may be given several times.",
    ),
]
Region = Annotated[str | None, typer.Option(help="The stack's; default: your AWS settings'.")]


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """
    Read `NAME=VALUE` texts; later ones win.

    Raises:
        typer.BadParameter: One has no `=`.
    """
    read = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--parameter")
        read[name] = value
    return read


def state_folder(template: Path) -> Path:
    """Return where the local stack of a template keeps its key pair and its secret."""
    return template.resolve().parent / ".agentrun"
