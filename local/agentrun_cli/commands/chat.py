"""`agentrun chat`: talk with an agent at the terminal."""

import sys
from typing import Annotated

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
    from agentrun_cli.chat.conversation import ChatOptions, Conversation  # noqa: PLC0415
    from agentrun_cli.running.decisions import Questions, leave  # noqa: PLC0415
    from agentrun_cli.terminal.asking import Asker, ask, next_line  # noqa: PLC0415

    overrides = Overrides(model, system, temperature, max_tokens, max_cost, max_total_tokens)
    is_interactive = can_ask() and sys.stdout.isatty()
    screen = console(of_errors=not is_interactive)
    asker: Asker = ask if is_interactive else next_line
    conversation = Conversation(
        connection,
        ChatOptions(agent, overrides.options(), media_of(image), followups and is_interactive),
        asker,
        Questions(ask, screen) if is_interactive else leave,
        screen,
        screen if is_interactive else None,
    )
    if is_interactive:
        remark(f"{connection.client.agents.get(agent).name}: /help helps, Ctrl-D leaves")
    if session is not None:
        conversation.show_past(session)
    if resume is not None:
        conversation.resume(resume)
    return conversation.talk(is_interactive=is_interactive)
