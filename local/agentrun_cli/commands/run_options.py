"""The options of a run, which `chat` and `run` share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentrun_cli.errors import UsageError

if TYPE_CHECKING:
    from agentrun_client import Media, RunOptions

PANEL = "The run"

AgentId = Annotated[str, typer.Argument(metavar="AGENT")]
SessionId = Annotated[
    str | None,
    typer.Option(
        "--session", metavar="ID", help="Go on with a conversation.", rich_help_panel=PANEL
    ),
]
Model = Annotated[
    str | None, typer.Option(help="One of the agent's models.", rich_help_panel=PANEL)
]
System = Annotated[
    str | None,
    typer.Option(
        "--system",
        metavar="TEXT",
        help="In place of the agent's instructions.",
        rich_help_panel=PANEL,
    ),
]
Temperature = Annotated[float | None, typer.Option(min=0, max=2, rich_help_panel=PANEL)]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="How long an answer may be.", rich_help_panel=PANEL)
]
MaxCost = Annotated[
    float | None,
    typer.Option(metavar="USD", min=0, help="What the run may cost.", rich_help_panel=PANEL),
]
MaxTotalTokens = Annotated[
    int | None,
    typer.Option(min=1, help="How many tokens the run may use in all.", rich_help_panel=PANEL),
]
Images = Annotated[
    list[str],
    typer.Option(
        "--image",
        metavar="FILE",
        help="An image or another file, or its URL, to go with the message; may be given several "
        "times.",
        rich_help_panel=PANEL,
    ),
]
SessionPolicy = Annotated[
    Literal["reject", "enqueue", "interrupt"] | None,
    typer.Option(
        help="While another run uses the session; default: reject.", rich_help_panel=PANEL
    ),
]


@dataclass(frozen=True)
class Overrides:
    """What is asked of a run besides its message; None where the agent decides."""

    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    max_total_tokens: int | None = None

    def options(self) -> "RunOptions":
        """Return them as the client takes them."""
        from agentrun_client import RunOptions  # noqa: PLC0415

        return RunOptions(
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            system_prompt=self.system,
            max_cost_usd=self.max_cost,
            max_total_tokens=self.max_total_tokens,
        )


def media_of(files: list[str]) -> "list[Media]":
    """
    Read the files of a message.

    Raises:
        UsageError: One cannot be read, or its name does not tell what it is.
    """
    from mimetypes import guess_type  # noqa: PLC0415

    from agentrun_client import Media  # noqa: PLC0415

    found = []
    for file in files:
        kind, _ = guess_type(file.partition("?")[0])
        if kind is None:
            raise UsageError(f"--image {file}: the name does not tell what type it is")
        try:
            is_url = file.startswith(("http://", "https://"))
            media = Media.from_url(file, kind) if is_url else Media.from_file(Path(file), kind)
        except OSError as error:
            raise UsageError(f"--image {file}: {error.strerror}") from error
        found.append(media)
    return found
