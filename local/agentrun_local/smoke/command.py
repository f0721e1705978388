"""`agentrun smoke`: options, where the stack is, and the exit status."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from agentrun_local.errors import LocalStackError
from agentrun_local.machine.identity import Caller, DevIdentity
from agentrun_local.smoke.record_checks import MOST_AT_LIMIT
from agentrun_local.smoke.report import Report, all_hold
from agentrun_local.smoke.suite import CHECKS, Row, slug, try_all
from agentrun_local.smoke.target import Door, Target

TOKEN_VARIABLE = "AGENTRUN_TOKEN"  # noqa: S105 - the variable's name
LOCAL_DOORS = {Door.REST: "http://127.0.0.1:8000", Door.URL: "http://127.0.0.1:8001"}
_OUTPUTS = {Door.REST: "RestApiBaseUrl", Door.URL: "FunctionUrlBase"}


class SmokeError(LocalStackError):
    """The command cannot begin: no stack, no token, no such check."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options: where the stack is, who asks, and what to check."""
    parser.add_argument("--base-url", help="REST API; default: the local stack's")
    parser.add_argument("--function-url", help="Function URL; default: the local stack's")
    parser.add_argument("--stack", help="a CloudFormation stack whose outputs have both URLs")
    parser.add_argument("--region", help="the stack's; default: your AWS settings'")
    parser.add_argument("--token", help=f"default: ${TOKEN_VARIABLE}, or the local stack's own")
    parser.add_argument("--agent", help="agent of most checks; default: echo, on the demo model")
    parser.add_argument("--model-agent", help="default: the first one not on the demo model")
    parser.add_argument("--origin", help="a web origin that CorsOrigins names")
    parser.add_argument("--long", action="store_true", help="hold a stream for 6 minutes a door")
    parser.add_argument(
        "--at-limit",
        type=_places,
        default=0,
        metavar="N",
        help="take N places of the stream function, its StreamConcurrency, and ask for a status",
    )
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="CHECK[@DOOR]",
        help="leave a check out, at both doors or one (rest, url); may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def run_smoke(options: argparse.Namespace) -> int:
    """
    Check a stack, print the report, and return the exit status: 1 if something fails.

    Raises:
        SmokeError: An option is wrong, or something needed to begin is missing.
    """
    skipped = _skipped(options.skip)
    doors = _doors(options)
    target = Target(
        doors=doors,
        token=caller_token(options, doors),
        agent=options.agent,
        model_agent=options.model_agent,
        origin=options.origin,
        long=options.long,
        at_limit=options.at_limit,
    )
    report, begun = Report(target), time.monotonic()
    rows: list[Row] = []
    if not options.json:
        print(report.head(), flush=True)
    for row in try_all(target, left_out=lambda check, door: (slug(check), door) in skipped):
        rows.append(row)
        if not options.json:
            print(report.row(row), flush=True)
    took_s = time.monotonic() - begun
    # Failed runs stay, to be looked up; if all checks hold, the caller's sessions stay clean.
    deleted = all_hold(rows) and target.delete_sessions()
    ending = report.document if options.json else report.foot
    print(ending(rows, took_s, deleted=deleted))
    return 0 if all_hold(rows) else 1


def stack_doors(name: str, region: str | None) -> dict[Door, str]:
    """
    Return the base URLs in a stack's outputs.

    Raises:
        SmokeError: There is no such stack, or its outputs are not this project's.
    """
    # Imported here: it takes a moment, which only --stack has to wait.
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client = boto3.client("cloudformation", region_name=region)
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise SmokeError(f"the outputs of the stack '{name}' cannot be read: {error}") from error
    told = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    missing = [output for output in _OUTPUTS.values() if output not in told]
    if missing:
        raise SmokeError(f"the stack '{name}' has no output {', '.join(missing)}")
    return {door: told[output] for door, output in _OUTPUTS.items()}


def _doors(options: argparse.Namespace) -> dict[Door, str]:
    given = {Door.REST: options.base_url, Door.URL: options.function_url}
    named = {door: url.rstrip("/") for door, url in given.items() if url}
    for url in named.values():
        if not is_base_url(url):
            raise SmokeError(f"'{url}' is no base URL; one is https://HOST, with a path if need be")
    if options.stack:
        return {**stack_doors(options.stack, options.region), **named}
    if not named:
        return LOCAL_DOORS
    if Door.REST not in named:
        raise SmokeError("--function-url needs --base-url beside it: the REST API lists the agents")
    return named


def is_base_url(url: str) -> bool:
    """Tell whether requests can be sent to a URL with a path behind it."""
    try:
        parts = urlsplit(url)
        # Reading the port raises if it is not a number; the encoding, if the host is not a name.
        is_there = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False
    return is_there and parts.scheme in {"http", "https"} and not parts.query


def caller_token(
    options: argparse.Namespace, doors: dict[Door, str], local: Caller | None = None
) -> str:
    """
    Return the token that the options or the environment have; to the local stack, a fresh one.

    Args:
        options: With `token` and `template`.
        doors: Which URLs it is for.
        local: Who asks the local stack.

    Raises:
        SmokeError: There is none.
    """
    given = options.token or os.environ.get(TOKEN_VARIABLE, "")
    if given:
        return str(given).strip()
    if all(urlsplit(url).hostname in {"127.0.0.1", "localhost"} for url in doors.values()):
        template: Path = options.template
        return DevIdentity(template.resolve().parent / ".agentrun").token(local)
    raise SmokeError(f"a token is needed: put it into {TOKEN_VARIABLE}, or give --token")


def _skipped(named: Sequence[str]) -> set[tuple[str, Door]]:
    known = {slug(check): check for check in CHECKS}
    skipped: set[tuple[str, Door]] = set()
    for name in named:
        check, _, door = name.partition("@")
        if check not in known or door not in {"", *Door}:
            raise SmokeError(
                f"--skip knows no '{name}'; there are {', '.join(known)}, each with @rest or @url"
            )
        skipped |= {(check, at) for at in ([Door(door)] if door else known[check].doors)}
    return skipped


def _places(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_AT_LIMIT:
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and {MOST_AT_LIMIT}")
    return number
