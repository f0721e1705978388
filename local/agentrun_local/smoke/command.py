"""`agentrun smoke`: options, where the stack is, and the exit status."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentrun_cli.connection.urls import is_base_url, is_loopback
from agentrun_local.addresses import DEFAULT, Addresses, running_addresses
from agentrun_local.commands.options import state_folder
from agentrun_local.errors import LocalStackError
from agentrun_local.machine.identity import Caller, DevIdentity
from agentrun_local.smoke.report import Report, all_hold
from agentrun_local.smoke.suite import CHECKS, Row, slug, try_all
from agentrun_local.smoke.target import Door, Target

TOKEN_VARIABLE = "AGENTRUN_TOKEN"  # noqa: S105 - the variable's name
_OUTPUTS = {Door.REST: "RestApiBaseUrl", Door.URL: "FunctionUrlBase"}


@dataclass(frozen=True)
class SmokeOptions:
    """Where the stack is, who asks, and what to check."""

    template: Path
    base_url: str | None = None
    function_url: str | None = None
    stack: str | None = None
    region: str | None = None
    token: str | None = field(default=None, repr=False)
    agent: str | None = None
    model_agent: str | None = None
    origin: str | None = None
    long: bool = False
    at_limit: int = 0
    skip: Sequence[str] = ()
    json: bool = False


class SmokeError(LocalStackError):
    """The command cannot begin: no stack, no token, no such check."""


def run_smoke(options: SmokeOptions) -> int:
    """
    Check a stack, print the report, and return the exit status: 1 if something fails.

    Raises:
        SmokeError: An option is wrong, or something needed to begin is missing.
    """
    skipped = _skipped(options.skip)
    doors = _doors(options)
    target = Target(
        doors=doors,
        token=caller_token(options.token, options.template, doors),
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


def _doors(options: SmokeOptions) -> dict[Door, str]:
    given = {Door.REST: options.base_url, Door.URL: options.function_url}
    named = {door: url.rstrip("/") for door, url in given.items() if url}
    for url in named.values():
        if not is_base_url(url):
            raise SmokeError(f"'{url}' is no base URL; one is https://HOST, with a path if need be")
    if options.stack:
        return {**stack_doors(options.stack, options.region), **named}
    if not named:
        running = running_addresses(options.template) or Addresses(*DEFAULT)
        return {Door.REST: running.rest_api, Door.URL: running.function_url}
    if Door.REST not in named:
        raise SmokeError("--function-url needs --base-url beside it: the REST API lists the agents")
    return named


def caller_token(
    given: str | None, template: Path, doors: dict[Door, str], local: Caller | None = None
) -> str:
    """
    Return the token that the options or the environment have; to the local stack, a fresh one.

    Args:
        given: The token of the options.
        template: The local stack's.
        doors: Which URLs it is for.
        local: Who asks the local stack.

    Raises:
        SmokeError: There is none.
    """
    if found := given or os.environ.get(TOKEN_VARIABLE, ""):
        return found.strip()
    if all(is_loopback(url) for url in doors.values()):
        return DevIdentity(state_folder(template)).token(local)
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
