"""The command `agentrun`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentrun_local.errors import LocalStackError
from agentrun_local.machine.identity import DEFAULT_LIFETIME_S, DEFAULT_SCOPE, Caller, DevIdentity
from agentrun_local.machine.variables import read_env_files
from agentrun_local.redrive.options import add_options as add_redrive_options
from agentrun_local.runs.command import add_runs
from agentrun_local.smoke.command import add_options, run_smoke
from agentrun_local.webhooks.options import add_options as add_listen_options

if TYPE_CHECKING:
    from agentrun_local.stack import StackOptions

_PROJECT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except LocalStackError as error:
        print(f"agentrun: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Ctrl-C is the way to end the stack.
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentrun", description="Agentrun on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    template = argparse.ArgumentParser(add_help=False)
    template.add_argument(
        "--template", type=Path, default=_PROJECT / "template.yaml", help="default: this project's"
    )
    stack = argparse.ArgumentParser(add_help=False, parents=[template])
    stack.add_argument(
        "--model",
        default="demo",
        help="demo (default), bedrock:<id> with your AWS credentials, or another provider's",
    )
    stack.add_argument(
        "--parameter",
        action="append",
        type=_assignment,
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template; may be given several times",
    )
    stack.add_argument(
        "--env-file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="NAME=VALUE lines for the functions' environment; may be given several times",
    )
    _add_dev(commands, stack)
    _add_token(commands, template)
    _add_invoke(commands, stack)
    _add_doctor(commands, template)
    _add_smoke(commands, template)
    add_runs(commands, template)
    _add_webhooks(commands, template)
    _add_redrive(commands, template)
    return parser


def _add_dev(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", stack: argparse.ArgumentParser
) -> None:
    dev = commands.add_parser("dev", parents=[stack], help="run the stack in the foreground")
    dev.add_argument("--port", type=_port, default=8000, help="REST API; 0: any free port")
    dev.add_argument("--url-port", type=_port, default=8001, help="Function URL; 0: any free port")
    dev.add_argument("--dynamodb-url", help="a running DynamoDB; default: moto's server")
    dev.add_argument(
        "--ready-file", type=Path, help="write URLs and a token to this file, as JSON, once ready"
    )
    dev.set_defaults(command=_dev)


def _add_token(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    template: argparse.ArgumentParser,
) -> None:
    token = commands.add_parser(
        "token", parents=[template], help="print a token that the local stack accepts"
    )
    caller = Caller()
    token.add_argument("--user", default=caller.user, help="claim sub; default: %(default)s")
    token.add_argument("--org", default=caller.org, help="claim org_id; default: %(default)s")
    token.add_argument("--scope", default=DEFAULT_SCOPE, help="default: %(default)s")
    token.add_argument("--roles", nargs="+", default=[], help="for example admin")
    token.add_argument(
        "--expires-in", type=int, default=DEFAULT_LIFETIME_S, metavar="S", help="default: 12 hours"
    )
    token.set_defaults(command=_token)


def _add_invoke(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", stack: argparse.ArgumentParser
) -> None:
    invoke = commands.add_parser("invoke", parents=[stack], help="send one event to a function")
    invoke.add_argument("function", help="StatusFunction or status")
    invoke.add_argument("event", type=Path, help="JSON file; ${TOKEN} in it becomes a dev token")
    invoke.add_argument(
        "--table-url", dest="dynamodb_url", help="a running DynamoDB, for example the one of dev"
    )
    invoke.set_defaults(command=_invoke)


def _add_doctor(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    template: argparse.ArgumentParser,
) -> None:
    doctor = commands.add_parser(
        "doctor", parents=[template], help="find what would make a deployment or its runs fail"
    )
    doctor.add_argument("--config-env", default="default", help="of samconfig.toml, as for sam")
    doctor.add_argument("--region", help="default: samconfig.toml's, then your AWS settings'")
    doctor.add_argument("--profile", help="an AWS profile; default: as for --region")
    doctor.add_argument(
        "--parameter",
        action="append",
        type=_assignment,
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template, over samconfig.toml's; may be given several times",
    )
    doctor.set_defaults(command=_doctor)


def _add_smoke(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    template: argparse.ArgumentParser,
) -> None:
    smoke = commands.add_parser(
        "smoke", parents=[template], help="test a deployed stack, or the local one, from outside"
    )
    add_options(smoke)
    smoke.set_defaults(command=run_smoke)


def _add_webhooks(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    template: argparse.ArgumentParser,
) -> None:
    webhooks = commands.add_parser("webhooks", help="receive webhooks on this machine")
    actions = webhooks.add_subparsers(required=True, metavar="ACTION")
    listen = actions.add_parser(
        "listen", parents=[template], help="print what arrives, and whether its signature verifies"
    )
    add_listen_options(listen)
    listen.set_defaults(command=_listen)


def _add_redrive(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    template: argparse.ArgumentParser,
) -> None:
    redrive = commands.add_parser(
        "redrive", parents=[template], help="send a queue's dead letters back to it"
    )
    add_redrive_options(redrive)
    redrive.set_defaults(command=_redrive)


def _dev(options: argparse.Namespace) -> int:
    # Imported here, like the others below: it takes a second, which `agentrun token` need not wait.
    from agentrun_local.dev import DevOptions, run_dev  # noqa: PLC0415

    dev_options = DevOptions(options.port, options.url_port, options.ready_file)
    asyncio.run(run_dev(_stack_options(options), dev_options))
    return 0


def _token(options: argparse.Namespace) -> int:
    caller = Caller(options.user, options.org, options.scope, options.roles)
    folder = options.template.resolve().parent / ".agentrun"
    print(DevIdentity(folder).token(caller, expires_in_s=options.expires_in))
    return 0


def _invoke(options: argparse.Namespace) -> int:
    from agentrun_local.invoke import run_invoke  # noqa: PLC0415

    return asyncio.run(run_invoke(_stack_options(options), options.function, options.event))


def _doctor(options: argparse.Namespace) -> int:
    from agentrun_local.doctor.command import run_doctor  # noqa: PLC0415
    from agentrun_local.doctor.deployment import DoctorOptions  # noqa: PLC0415

    return run_doctor(
        DoctorOptions(
            template=options.template.resolve(),
            config_env=options.config_env,
            region=options.region,
            profile=options.profile,
            parameters=dict(options.parameter),
        )
    )


def _listen(options: argparse.Namespace) -> int:
    from agentrun_local.webhooks.command import run_listen  # noqa: PLC0415

    return run_listen(options)


def _redrive(options: argparse.Namespace) -> int:
    from agentrun_local.redrive.command import run_redrive  # noqa: PLC0415

    return run_redrive(options)


def _stack_options(options: argparse.Namespace) -> "StackOptions":
    from agentrun_local.stack import StackOptions  # noqa: PLC0415

    return StackOptions(
        template=options.template.resolve(),
        model=options.model,
        dynamodb_url=options.dynamodb_url,
        parameters=dict(options.parameter),
        variables=read_env_files(options.env_file),
    )


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name, value


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


if __name__ == "__main__":
    sys.exit(main())
