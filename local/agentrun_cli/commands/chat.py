"""`agentrun chat`: talk with an agent at the terminal."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentrun_cli.commands.run_options import (
    AgentId,
    Images,
    MaxCost,
    MaxTokens,
    MaxTotalTokens,
    Model,
    Overrides,
    SessionId,
    System,
    Temperature,
    media_of,
)
from agentrun_cli.connection.connection import Connection
from agentrun_cli.connection.options import connected
from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.screen import can_ask, console

if TYPE_CHECKING:
    from agentrun_cli.chat.conversation import ChatOptions, Conversation

Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="RUN", help="Show this run, decide it, go on from there."),
]
Followups = Annotated[bool, typer.Option(help="Offer follow-up questions.")]


@connected
def chat(
    connection: Connection,
    agent: AgentId,
    *,
    session: SessionId = None,
    resume: Resume = None,
    model: Model = None,
    system: System = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_total_tokens: MaxTotalTokens = None,
    image: Images = [],  # noqa: B006 - typer copies it
    followups: Followups = True,
) -> int:
    """Talk with an agent; Ctrl-C cancels an answer, Ctrl-D leaves."""
    from agentrun_cli.chat.conversation import ChatOptions  # noqa: PLC0415

    is_interactive = can_ask() and sys.stdout.isatty()
    overrides = Overrides(model, system, temperature, max_tokens, max_cost, max_total_tokens)
    offers = followups and is_interactive
    chosen = ChatOptions(agent, overrides.options(), media_of(image), offers)
    conversation = _conversation(connection, chosen, is_interactive=is_interactive)
    # In a pipe, too: where nothing is typed, nothing else would say that there is no such agent.
    name = connection.client.agents.get(agent).name
    if is_interactive:
        remark(f"{name}: /help helps, Ctrl-D leaves")
    if session is not None:
        conversation.show_past(session)
    if resume is not None:
        conversation.resume(resume)
    return conversation.talk(is_interactive=is_interactive)


def _conversation(
    connection: Connection, chosen: "ChatOptions", *, is_interactive: bool
) -> "Conversation":
    from agentrun_cli.chat.conversation import Conversation  # noqa: PLC0415
    from agentrun_cli.running.decisions import Questions, leave  # noqa: PLC0415
    from agentrun_cli.terminal.asking import ask, next_line  # noqa: PLC0415

    if is_interactive:
        screen = console()
        return Conversation(connection, chosen, ask, Questions(ask, screen), screen, screen)
    return Conversation(connection, chosen, next_line, leave, console(of_errors=True), None)
