"""`agentrun replay`: a run that has ended, once more."""

from typing import Annotated

import typer

from agentrun_cli.commands.json_option import AsDocument
from agentrun_cli.commands.runs import After, AsEvents, RunId
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected
from agentrun_cli.running.form import form_of

Speed = Annotated[
    str, typer.Option(metavar="N|max", help="How many times as fast; max: without waiting.")
]
MaxGap = Annotated[
    float, typer.Option(metavar="S", min=0, help="The longest time to wait between two events.")
]


@connected
def replay(
    connection: Connection,
    run: RunId,
    *,
    speed: Speed = "1",
    after: After = 0,
    max_gap: MaxGap = 5.0,
    as_events: AsEvents = False,
    as_json: AsDocument = False,
) -> int:
    """Show a run again, at its own pace."""
    from agentrun_cli.running.attaching import replay as show_again  # noqa: PLC0415

    form = form_of(as_events=as_events, as_json=as_json)
    times = None if as_json else _speed(speed)
    return show_again(
        connection.client, run, after=after, form=form, speed=times, max_gap_s=max_gap
    )


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(
            f"'{text}' is neither a number above 0 nor max", param_hint="--speed"
        )
    return speed
