"""`agentrun runs`: its options, what it prints, and its exit statuses."""

import argparse
import json
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any

from agentrun_local.machine.identity import Caller
from agentrun_local.runs.remote import RemoteRuns
from agentrun_local.runs.stopping import Stopped, stop_all, stop_named
from agentrun_local.smoke.command import (
    LOCAL_DOORS,
    TOKEN_VARIABLE,
    SmokeError,
    caller_token,
    is_base_url,
    stack_doors,
)
from agentrun_local.smoke.target import Door

_STATUSES = ("QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED")
_COLUMNS = {"id": 36, "status": 9, "agentId": 16, "userId": 16, "createdAt": 24}
STOP_WITHIN_S = 60.0


class UsageError(SmokeError):
    """The command cannot begin: its options do not fit together."""


def add_runs(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    template: argparse.ArgumentParser,
) -> None:
    """Add the command and its own three."""
    runs = commands.add_parser("runs", help="list, show and stop the runs of a stack")
    of_runs = runs.add_subparsers(required=True, metavar="WHAT")
    where = argparse.ArgumentParser(add_help=False, parents=[template])
    where.add_argument("--base-url", help="REST API; default: the local stack's")
    where.add_argument("--stack", help="a CloudFormation stack whose outputs have the URL")
    where.add_argument("--region", help="the stack's; default: your AWS settings'")
    where.add_argument(
        "--token", help=f"default: ${TOKEN_VARIABLE}, or an admin's of the local stack"
    )
    listing = of_runs.add_parser(
        "list", parents=[where], help="list runs, the newest first; an admin sees all under way"
    )
    listing.add_argument("--status", choices=_STATUSES)
    listing.add_argument("--agent", metavar="AGENT")
    listing.add_argument("--session", metavar="SESSION")
    listing.add_argument("--user", metavar="USER", help="an admin may name others")
    listing.add_argument("--limit", type=_count, default=20, help="default: %(default)s")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    listing.set_defaults(command=_list)
    getting = of_runs.add_parser("get", parents=[where], help="print one run as JSON")
    getting.add_argument("run", metavar="RUN")
    getting.set_defaults(command=_get)
    stopping = of_runs.add_parser("stop", parents=[where], help="cancel runs")
    stopping.add_argument("runs", nargs="*", metavar="RUN")
    stopping.add_argument(
        "--all", action="store_true", help="all that have not ended: an admin's organisation's"
    )
    stopping.add_argument(
        "--within",
        type=float,
        default=STOP_WITHIN_S,
        metavar="S",
        help="how long --all goes on until none is left; default: %(default)s",
    )
    stopping.set_defaults(command=_stop)


def _list(options: argparse.Namespace) -> int:
    found = _runs(options).listed(
        status=options.status,
        agentId=options.agent,
        sessionId=options.session,
        userId=options.user,
    )
    if not options.json:
        print(_line({name: name for name in _COLUMNS}))
    for run in islice(found, options.limit):
        print(json.dumps(run, ensure_ascii=False) if options.json else _line(run), flush=True)
    return 0


def _get(options: argparse.Namespace) -> int:
    print(json.dumps(_runs(options).run(options.run), indent=2, ensure_ascii=False))
    return 0


def _stop(options: argparse.Namespace) -> int:
    """Stop runs; the exit status is 0 if all of them end, and 1 if not."""
    if bool(options.runs) == options.all:
        raise UsageError("runs stop takes the ids of runs, or --all")
    runs = _runs(options)
    if options.all:
        stopped = stop_all(runs, within_s=options.within, tell=_tell)
    else:
        stopped = stop_named(runs, options.runs)
    print(_told(stopped))
    return 0 if stopped.is_done else 1


def _told(stopped: Stopped) -> str:
    lines = [f"not stopped: {reason}" for reason in stopped.refused.values()]
    lines += [f"not ended yet: {run_id}" for run_id in sorted(stopped.left)]
    count = len(stopped.ended)
    return "\n".join([*lines, f"stopped {count} run{'' if count == 1 else 's'}"])


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _line(run: Mapping[str, Any]) -> str:
    cells = [str(run.get(name, "")).ljust(width) for name, width in _COLUMNS.items()]
    # A message may have characters that would move the cursor.
    asked = " ".join(str(run.get("input", "")).split())
    shown = "".join(character for character in asked if character.isprintable())
    return "  ".join([*cells, shown[:40]]).rstrip()


def _runs(options: argparse.Namespace) -> RemoteRuns:
    doors = _door(options)
    return RemoteRuns(doors[Door.REST], caller_token(options, doors, Caller(roles=["admin"])))


def _door(options: argparse.Namespace) -> dict[Door, str]:
    if options.base_url:
        url = options.base_url.rstrip("/")
        if not is_base_url(url):
            raise UsageError(f"'{url}' is no base URL; one is https://HOST, with a path if need be")
        return {Door.REST: url}
    found = stack_doors(options.stack, options.region) if options.stack else LOCAL_DOORS
    return {Door.REST: found[Door.REST]}


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number
