"""All checks in their order, and how each is run."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from agentrun_local.smoke import (
    access_checks,
    ending_checks,
    model_checks,
    record_checks,
    stream_checks,
)
from agentrun_local.smoke.connection import ExchangeError
from agentrun_local.smoke.outcome import Check, Outcome, Verdict, fails, not_tried
from agentrun_local.smoke.target import Door, RefusedError, Target

_BOTH = (Door.REST, Door.URL)
_REST = (Door.REST,)
_URL = (Door.URL,)

_SEE_LOG = "See the function's log, /agentrun/STACK/stream or /agentrun/STACK/status."
_BUFFERED = (
    "Something between the function and you buffers the answer. If you use the stack's own URLs, "
    "check that the REST API's methods have ResponseTransferMode STREAM and the Function URL "
    "InvokeMode RESPONSE_STREAM. Behind CloudFront or a proxy, switch off buffering and "
    "compression for these paths."
)
_NO_END = (
    "An answer without an end keeps its client waiting for minutes. Behind a proxy, check that it "
    "passes the end on. Otherwise open an issue with this report: Lambda's streamed answers "
    "without a body are a known weak point."
)

CHECKS = (
    Check(
        "health",
        "Check that the base URL is the output RestApiBaseUrl, with its stage; behind a custom "
        "domain, that BasePath is the path in it. " + _SEE_LOG,
        _REST,
        access_checks.health,
    ),
    Check(
        "refused token",
        "Stop: this stack answers strangers. Check that the API has its authorizer, and that "
        "nothing in front answers in its place.",
        _BOTH,
        access_checks.refused_token,
    ),
    Check(
        "accepted token",
        "Compare the token's iss, aud and organisation with the parameters Issuer, Audience and "
        "OrgClaim; the authorizer's log, /agentrun/STACK/authorizer, says what is wrong with it.",
        _BOTH,
        access_checks.accepted_token,
    ),
    Check(
        "CORS preflight",
        "Add the origin to CorsOrigins, and your own headers to CorsAllowHeaders; nothing in front "
        "may add CORS headers, since the functions send them already.",
        _BOTH,
        access_checks.preflight,
    ),
    Check("START first", _BUFFERED, _BOTH, stream_checks.start_first),
    Check("frames one by one", _BUFFERED, _BOTH, stream_checks.one_by_one),
    Check(
        "header names",
        "Something in front drops or renames the header: let it pass all of them.",
        _BOTH,
        access_checks.header_names,
    ),
    Check(
        "ticket",
        "Check that what is in front passes the query on, and caches nothing; see the logs of both "
        "functions for a table that denies access.",
        _URL,
        access_checks.ticket,
    ),
    Check("204 ends", _NO_END, _BOTH, ending_checks.no_content_ends),
    Check("HEAD ends", _NO_END, _BOTH, ending_checks.head_ends),
    Check("error ends", _NO_END, _BOTH, ending_checks.error_ends),
    Check(
        "cancel",
        "The stream function looks for a cancel with every heartbeat: see its log for a throttled "
        "store, and check that StreamMemorySize gives it enough CPU.",
        _BOTH,
        stream_checks.cancelled,
    ),
    Check(
        "re-attach",
        "A reader that loses its connection would lose events: see the stream function's log for a "
        "store that is throttled or denies access.",
        _BOTH,
        stream_checks.reattached,
    ),
    Check(
        "replay",
        "The event log differs from what was streamed: see the stream function's log, and check "
        "that nothing in front caches answers.",
        _BOTH,
        record_checks.replayed,
    ),
    Check(
        "status",
        "See both functions' logs, and check that nothing in front caches answers.",
        _REST,
        record_checks.recorded,
    ),
    Check(
        "batch",
        "See the status function's log, and check that nothing in front caches answers or rewrites "
        "the query.",
        _REST,
        record_checks.batch,
    ),
    Check(
        "status at limit",
        "The account's own concurrency is used up too: keep StreamConcurrency below it, or have "
        "the quota raised (Service Quotas, Lambda, concurrent executions).",
        _REST,
        record_checks.at_limit,
    ),
    Check("model", _SEE_LOG, _BOTH, model_checks.model),
    Check(
        "long stream",
        "Something in front ends streams by age or idle time: see the time-outs in "
        "docs/deploy.md, A domain of your own; PingAfter makes pings more frequent. An "
        "edge-optimised API drops streams after 30 idle seconds.",
        _BOTH,
        stream_checks.long_stream,
    ),
)


@dataclass(frozen=True)
class Row:
    """One check at one door, and its outcome."""

    check: Check
    door: Door
    outcome: Outcome
    took_s: float

    @property
    def remedy(self) -> str:
        """What to do if the point fails; empty if it does not."""
        if self.outcome.verdict is not Verdict.FAILS:
            return ""
        return self.outcome.remedy or self.check.remedy


def slug(check: Check) -> str:
    """Return a check's name as `--skip` takes it."""
    return check.name.lower().replace(" ", "-")


def try_all(
    target: Target,
    checks: Sequence[Check] = CHECKS,
    left_out: Callable[[Check, Door], bool] = lambda *_: False,
) -> Iterator[Row]:
    """Run the checks one after another and yield a row for each at each of its doors."""
    for check in checks:
        for door in check.doors:
            begun = time.monotonic()
            if left_out(check, door):
                outcome = not_tried("left out by --skip")
            else:
                outcome = try_one(target, check, door)
            yield Row(check, door, outcome, time.monotonic() - begun)


def try_one(target: Target, check: Check, door: Door) -> Outcome:
    """Run one check; a stack that does not answer fails it, and does not end the command."""
    if door not in target.doors:
        return not_tried("the door's base URL is not given")
    runs_before = len(target.spent)
    outcome = _tried(target, check, door)
    begun = list(target.spent)[runs_before:]
    if outcome.verdict is Verdict.FAILS and begun:
        return replace(outcome, seen=f"{outcome.seen} (run {begun[-1]})")
    return outcome


def _tried(target: Target, check: Check, door: Door) -> Outcome:
    try:
        return check.probe(target, door)
    except RefusedError as error:
        return fails(str(error), _REFUSED.get(error.status, _SEE_LOG))
    except ExchangeError as error:
        return fails(str(error))


_REFUSED = {
    401: "See accepted token: the stack refuses it.",
    403: "The token needs the scopes runs:read and runs:write.",
    404: "There is no such agent: name another with --agent.",
    429: "Too many runs are under way, or the function's concurrency is used up: see "
    "MaxRunsPerUser and StreamConcurrency, and try again in a minute.",
}
"""Remedies for a check that could not begin, by the answer's status."""
