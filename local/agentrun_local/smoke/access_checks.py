"""Checks of access: health, tokens, CORS, header names."""

from urllib.parse import urlsplit

from agentrun_local.smoke.outcome import Outcome, fails, holds, not_tried
from agentrun_local.smoke.target import Answer, Door, Target

NO_TOKEN = ""
BAD_TOKEN = "e30.e30.c21va2U"  # noqa: S105 - a JWT by its form, and nobody's
DEFAULT_ORIGIN = "https://smoke.example"
_ABSENT_RUN = "/api/agents/echo/runs/00000000-0000-4000-8000-000000000000/stream"
"""A path of both doors to a run that does not exist."""
_IDS = ("x-run-id", "x-session-id")
_STREAMED = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_WANTED = ("authorization", "content-type", "last-event-id")


_NOT_OUR_REFUSAL = (
    "Something in front refuses in the stack's place, or the REST API has lost its gateway "
    "responses: check that the deployed template has them."
)


def health(target: Target, door: Door) -> Outcome:
    """Ask for the stack's health without a token."""
    answer = target.ask(door, "GET", "/api/v1/health", token=NO_TOKEN)
    if answer.status == 200 and answer.json() == {"status": "UP"}:
        return holds("200 UP")
    return fails(f"answered {answer.summary}")


def refused_token(target: Target, door: Door) -> Outcome:
    """Send no token, then a bad one."""
    for token, what in ((NO_TOKEN, "no token"), (BAD_TOKEN, "a bad token")):
        answer = _protected(target, door, token)
        if answer.status != 401:
            return fails(f"{what}: answered {answer.summary}, not 401 unauthorized")
        if answer.problem != "unauthorized":
            return fails(f"{what}: 401, but not with the API's problem", _NOT_OUR_REFUSAL)
    return holds("401 unauthorized, without a token and with a bad one")


def ticket(target: Target, door: Door) -> Outcome:
    """Open the stream of an ended run with a ticket, then try the same ticket again."""
    if Door.REST not in target.doors:
        return not_tried("only the REST API issues tickets")
    stream = target.stream_of(target.ended_run().run_id)
    issued = target.ask(Door.REST, "POST", f"{stream}-ticket")
    said = issued.json()
    if issued.status != 201 or not isinstance(said, dict):
        return fails(f"asked for one: answered {issued.summary}, not 201")
    opened = f"{stream}?{urlsplit(str(said.get('url'))).query}"
    first, second = (target.ask(door, "GET", opened, token=NO_TOKEN) for _ in range(2))
    if first.status != 200:
        return fails(f"opened the stream: answered {first.summary}, not 200")
    if second.status != 401:
        return fails(f"opened it again: answered {second.summary}, not 401")
    return holds("it opened one stream, and no second")


def accepted_token(target: Target, door: Door) -> Outcome:
    """Send the caller's own token."""
    if door is Door.REST:
        answer = target.ask(door, "GET", "/api/agents")
        listed = answer.json()
        if answer.status == 200 and isinstance(listed, list):
            return holds(f"{len(listed)} agents are listed")
    else:
        answer = _protected(target, door)
        if (answer.status, answer.problem) == (404, "resource-not-found"):
            return holds("a run that is not there is 404, not 401")
    if answer.status == 403:
        return fails(
            f"answered {answer.summary}",
            "The token is valid but lacks a scope: see ScopeClaims, ScopePrefix, "
            "DefaultScopes and RoleClaims in docs/deploy.md.",
        )
    return fails(f"answered {answer.summary}")


def preflight(target: Target, door: Door) -> Outcome:
    """Send a browser's preflight, then the script's request."""
    origin = target.origin or DEFAULT_ORIGIN
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(_WANTED),
    }
    path = f"{target.runs_of('echo')}/stream"
    answer = target.ask(door, "OPTIONS", path, headers=asked, token=NO_TOKEN)
    if answer.status == 400 and target.origin is None:
        return not_tried("CorsOrigins does not name every origin; name one of yours with --origin")
    if answer.status not in {200, 204}:
        return fails(f"the preflight was answered {answer.summary}")
    if fault := _allows(answer, origin):
        return fails(f"the preflight {fault}")
    real = target.ask(door, "GET", _ABSENT_RUN, headers={"Origin": origin}, token=NO_TOKEN)
    if fault := _names(real, origin):
        return fails(f"the answer after it {fault}")
    return holds("the preflight and the answer after it each allow the origin once")


def header_names(target: Target, door: Door) -> Outcome:
    """Check the names of the headers that clients read."""
    refused = _protected(target, door, NO_TOKEN).head
    renamed = "x-amzn-remapped-www-authenticate"
    if refused.first("www-authenticate") == "Bearer":
        seen = "WWW-Authenticate comes under its own name"
    elif refused.first(renamed) == "Bearer":
        seen = "WWW-Authenticate comes as x-amzn-remapped-www-authenticate"
    else:
        return fails("a 401 says nothing of WWW-Authenticate, under either name")
    with target.run(door, "one") as stream:
        stream.whole()
        missing = [name for name, value in _STREAMED.items() if value not in stream.head.all(name)]
        missing += [name for name in _IDS if not stream.head.first(name)]
    if missing:
        return fails(f"a stream comes without {', '.join(missing)}")
    return holds(seen)


def _protected(target: Target, door: Door, token: str | None = None) -> Answer:
    return target.ask(door, "GET", _ABSENT_RUN, token=token)


def _allows(answer: Answer, origin: str) -> str:
    if fault := _names(answer, origin):
        return fault
    allowed = {
        name.strip().lower()
        for value in answer.head.all("access-control-allow-headers")
        for name in value.split(",")
    }
    missing = [name for name in _WANTED if name not in allowed]
    return f"does not allow {', '.join(missing)}" if missing else ""


def _names(answer: Answer, origin: str) -> str:
    named = answer.head.all("access-control-allow-origin")
    if len(named) > 1:
        return "names the allowed origin twice, which browsers refuse"
    return "" if named in (["*"], [origin]) else "does not allow the origin"
