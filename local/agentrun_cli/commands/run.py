"""`agentrun run`: one message, one answer."""

import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentrun_cli.commands.json_option import AsDocument
from agentrun_cli.commands.run_options import (
    PANEL,
    AgentId,
    Images,
    MaxCost,
    MaxTokens,
    MaxTotalTokens,
    Model,
    Overrides,
    SessionId,
    SessionPolicy,
    System,
    Temperature,
    media_of,
)
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected
from agentrun_cli.errors import ExitStatus, UsageError
from agentrun_cli.running.form import Form, form_of
from agentrun_cli.terminal.documents import print_document
from agentrun_cli.terminal.screen import can_ask

if TYPE_CHECKING:
    from agentrun_cli.running.decisions import Decider
    from agentrun_client import StartOptions

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")


def visible(key: str | None) -> str | None:
    """Check a key before anything is sent; a header cannot carry every character."""
    if key is not None and not _VISIBLE.fullmatch(key):
        raise typer.BadParameter("1 to 255 visible ASCII characters are what a key may have")
    return key


MessageText = Annotated[
    str, typer.Argument(metavar="MESSAGE", help="What is asked; `-` reads it from standard input.")
]
AsEvents = Annotated[
    bool, typer.Option("--events", help="Print every event as it comes, one JSON object a line.")
]
Background = Annotated[
    bool, typer.Option("--background", help="Print the run's id and do not wait for it.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        callback=visible,
        help="The same key and request: the same run, also from another process.",
        rich_help_panel=PANEL,
    ),
]
Followups = Annotated[
    bool,
    typer.Option("--followups", help="Ask for follow-up questions, too.", rich_help_panel=PANEL),
]
Approving = Annotated[
    Literal["all", "none"] | None,
    typer.Option("--approve", help="Decide all approvals without asking, or reject them all."),
]


@connected
def run(
    connection: Connection,
    agent: AgentId,
    message: MessageText,
    *,
    session: SessionId = None,
    model: Model = None,
    system: System = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_total_tokens: MaxTotalTokens = None,
    image: Images = [],  # noqa: B006 - typer copies it
    session_policy: SessionPolicy = None,
    idempotency_key: Key = None,
    followups: Followups = False,
    background: Background = False,
    approving: Approving = None,
    as_events: AsEvents = False,
    as_json: AsDocument = False,
) -> int:
    """Run an agent once: its answer on standard output, the rest on standard error."""
    overrides = Overrides(model, system, temperature, max_tokens, max_cost, max_total_tokens)
    options: StartOptions = {
        "session_id": session,
        "media": media_of(image),
        "options": overrides.options(),
        "generate_followups": followups,
        "session_policy": session_policy,
        "idempotency_key": idempotency_key,
    }
    text = _message(message)
    if background:
        return _in_background(connection, agent, text, options, as_json=as_json)
    form = form_of(as_events=as_events, as_json=as_json)
    return _stream(connection, agent, text, options, form, _decider(approving))


def _message(message: str) -> str:
    if message != "-":
        return message
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
        raise UsageError("standard input has no message")
    return text


def _in_background(
    connection: Connection, agent: str, message: str, options: "StartOptions", *, as_json: bool
) -> int:
    from agentrun_cli.terminal.wire import as_wire  # noqa: PLC0415

    queued = connection.client.runs.background(agent, message, **options)
    if as_json:
        print_document(as_wire(queued))
    else:
        print(queued.run_id)
    return ExitStatus.DONE


def _stream(
    connection: Connection,
    agent: str,
    message: str,
    options: "StartOptions",
    form: Form,
    decide: "Decider",
) -> int:
    from agentrun_cli.running.carrying_on import carry_on  # noqa: PLC0415
    from agentrun_cli.running.printing import finish, view_for  # noqa: PLC0415

    stream = connection.client.runs.stream(agent, message, **options)
    ended = carry_on(connection.client, agent, stream, view_for(form), decide)
    return finish(ended, form)


def _decider(approving: str | None) -> "Decider":
    from agentrun_cli.running.decisions import Questions, decide_all, leave  # noqa: PLC0415
    from agentrun_cli.terminal.asking import ask  # noqa: PLC0415
    from agentrun_cli.terminal.screen import console  # noqa: PLC0415

    if approving is not None:
        return decide_all(approving=approving == "all")
    return Questions(ask, console(of_errors=True)) if can_ask() else leave
