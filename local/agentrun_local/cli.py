"""The command `agentrun`: its commands, and what becomes of errors."""

import sys
from collections.abc import Callable, Sequence

import typer

from agentrun_cli.commands.agents import agents
from agentrun_cli.commands.approvals import approvals
from agentrun_cli.commands.chat import chat
from agentrun_cli.commands.login import login, logout
from agentrun_cli.commands.profiles import profiles
from agentrun_cli.commands.replay import replay
from agentrun_cli.commands.run import run
from agentrun_cli.commands.runs import runs
from agentrun_cli.commands.sessions import sessions
from agentrun_cli.commands.status import status
from agentrun_cli.errors import CommandError, ExitStatus
from agentrun_cli.terminal.complaints import complain
from agentrun_local.commands.check import check
from agentrun_local.commands.dev import dev, invoke
from agentrun_local.commands.doctor import doctor
from agentrun_local.commands.project import deploy, init, upgrade
from agentrun_local.commands.redrive import redrive
from agentrun_local.commands.smoke import smoke
from agentrun_local.commands.token import token
from agentrun_local.commands.webhooks import webhooks
from agentrun_local.errors import LocalStackError
from agentrun_project.errors import ProjectError

_AGENTS = "Agents and their runs"
_ACCESS = "Where and as whom"
_MACHINE = "This machine"
_PROJECT = "A project of your own"
_ACCOUNT = "Deployments"

Command = Callable[..., int]
"""Returns the exit status; Typer reads the options off its signature."""
_COMMANDS: dict[str, list[Command]] = {
    _AGENTS: [chat, run, replay, status],
    _ACCESS: [login, logout],
    _MACHINE: [dev, token, invoke],
    _PROJECT: [init, check, upgrade, deploy],
    _ACCOUNT: [doctor, smoke, redrive],
}
_GROUPS = {
    "runs": (runs, _AGENTS),
    "sessions": (sessions, _AGENTS),
    "agents": (agents, _AGENTS),
    "approvals": (approvals, _AGENTS),
    "profiles": (profiles, _ACCESS),
    "webhooks": (webhooks, _MACHINE),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; complaints are lines of standard error."""
    command = typer.main.get_command(application())
    try:
        # Not standalone: Typer would print boxes, and leave by SystemExit.
        return int(command.main(arguments, prog_name="agentrun", standalone_mode=False) or 0)
    except typer.TyperException as error:
        complain(error.format_message())
        context = getattr(error, "ctx", None)
        if context is not None:
            print(f"{context.get_usage()}\nTry: {context.command_path} --help", file=sys.stderr)
        return error.exit_code
    except CommandError as error:
        complain(str(error))
        return error.exit_status
    except (LocalStackError, ProjectError) as error:
        complain(str(error))
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return ExitStatus.INTERRUPTED


def application() -> typer.Typer:
    """Compose the command of all its parts."""
    app = typer.Typer(
        name="agentrun",
        help="Run agents, watch and steer their runs, and run the whole stack on this machine.",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for panel, commands in _COMMANDS.items():
        for command in commands:
            app.command(rich_help_panel=panel)(command)
    for name, (group, panel) in _GROUPS.items():
        app.add_typer(group, name=name, rich_help_panel=panel)
    return app


if __name__ == "__main__":
    sys.exit(main())
