"""
Who sees and moves what: every endpoint, for every kind of caller, on something there or missing.

`make test ARGS="tests/integration/test_isolation.py -s"` prints the matrix.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.contract.test_token_verifier import token
from tests.integration.conftest import AppModule

FINANCE = "/api/agents/finance_agent/runs"
ORDER = "Buy 1 share of AMZN"
SCOPE = "runs:read runs:write"


@dataclass(frozen=True)
class Caller:
    """Somebody with a token of their own."""

    user: str
    org: str = "acme"
    roles: tuple[str, ...] = ()


OWNER = Caller("ana")
CALLERS = {
    "owner": OWNER,
    "admin": Caller("root", roles=("admin",)),
    "other user": Caller("bob"),
    "other tenant": Caller("ana", org="umbrella"),
    "other tenant's admin": Caller("root", org="umbrella", roles=("admin",)),
}


class Doors:
    """Both functions, each reached as behind its own door."""

    def __init__(self, stream: ASGIApp, status: ASGIApp) -> None:
        self._stream = TestClient(stream)
        self._status = TestClient(self._authorized(status))
        self._callers: dict[str, Caller] = {}
        self._kept: Thing | None = None

    def kept(self) -> "Thing":
        """Return the owner's thing that nobody changes."""
        if self._kept is None:
            self._kept = self.order()
        return self._kept

    def _authorized(self, app: ASGIApp) -> ASGIApp:
        async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
            caller = self._callers[dict(scope["headers"])[b"x-caller"].decode()]
            identity = {
                "userId": caller.user,
                "orgId": caller.org,
                "scope": SCOPE,
                "roles": " ".join(caller.roles),
                "exp": str(int(time.time()) + 600),
            }
            scope["aws.event"] = {"requestContext": {"authorizer": identity}}
            await app(scope, receive, send)

        return gateway

    def status(self, caller: Caller, method: str, path: str) -> httpx2.Response:
        name = repr(caller)
        self._callers[name] = caller
        return self._status.request(method, path, headers={"X-Caller": name})

    def stream(
        self, caller: Caller, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx2.Response:
        bearer = token(sub=caller.user, org=caller.org, roles=list(caller.roles), scope=SCOPE)
        headers = {"Authorization": f"Bearer {bearer}"} | headers
        return self._stream.request(method, path, json=body, headers=headers)

    def order(self, caller: Caller = OWNER) -> "Thing":
        """Begin a run that pauses for an approval, in a session of its own."""
        session = str(uuid4())
        key = f"key-{next(KEYS)}"
        answer = self.stream(
            caller, "POST", f"{FINANCE}/stream", _order(session), **{"Idempotency-Key": key}
        )
        paused = re.search(r'approvalId\\":\\"([^\\]+)', answer.text)
        assert paused is not None, answer.text
        return Thing(answer.headers["x-run-id"], session, paused[1], key)


KEYS = count(1)


def _order(session: str) -> dict[str, str]:
    return {"message": ORDER, "sessionId": session}


@dataclass(frozen=True)
class Thing:
    """A paused run, its session and its approval: of the owner, or made up."""

    run: str
    session: str
    approval: str
    key: str

    @classmethod
    def missing(cls) -> "Thing":
        run = str(uuid4())
        return cls(run, str(uuid4()), f"{run}.7", f"key-{next(KEYS)}")


Request = Callable[[Doors, Caller, Thing], httpx2.Response]
ENDPOINTS: dict[str, Request] = {
    "get run": lambda d, c, t: d.status(c, "GET", f"{FINANCE}/{t.run}"),
    "run status": lambda d, c, t: d.status(c, "GET", f"{FINANCE}/{t.run}/status"),
    "batch": lambda d, c, t: d.status(c, "GET", f"{FINANCE}/status?runIds={t.run}"),
    "attach": lambda d, c, t: d.stream(c, "GET", f"{FINANCE}/{t.run}/stream"),
    "ticket": lambda d, c, t: d.status(c, "POST", f"{FINANCE}/{t.run}/stream-ticket"),
    "cancel": lambda d, c, t: d.status(c, "DELETE", f"{FINANCE}/{t.run}"),
    "continue": lambda d, c, t: d.stream(
        c, "POST", f"{FINANCE}/{t.run}/continue", {"action": "REJECT"}
    ),
    "resolve": lambda d, c, t: d.stream(
        c, "POST", f"/api/v1/approvals/{t.approval}/resolve", {"decision": "REJECTED"}
    ),
    "run of any agent": lambda d, c, t: d.status(c, "GET", f"/api/v1/runs/{t.run}"),
    "cancel of any agent": lambda d, c, t: d.status(c, "POST", f"/api/v1/runs/{t.run}/cancel"),
    "list of runs": lambda d, c, t: d.status(c, "GET", f"/api/v1/runs?sessionId={t.session}"),
    "get approval": lambda d, c, t: d.status(c, "GET", f"/api/v1/approvals/{t.approval}"),
    "get session": lambda d, c, t: d.status(c, "GET", f"/api/sessions/{t.session}"),
    "session's runs": lambda d, c, t: d.status(c, "GET", f"/api/sessions/{t.session}/runs"),
    "session's messages": lambda d, c, t: d.status(c, "GET", f"/api/sessions/{t.session}/messages"),
    "delete session": lambda d, c, t: d.status(c, "DELETE", f"/api/sessions/{t.session}"),
    "run in session": lambda d, c, t: d.stream(c, "POST", f"{FINANCE}/stream", _order(t.session)),
}
CHANGING = {
    "cancel",
    "cancel of any agent",
    "continue",
    "resolve",
    "delete session",
    "run in session",
}
ALLOWED = {
    "ticket": "201",
    "cancel": "204",
    "cancel of any agent": "204",
    "delete session": "204",
    "batch": "200 [it]",
    "list of runs": "200 [it]",
}
NOT_FOUND = {"batch": "200 []", "list of runs": "200 []"}
# A session's id is another tenant's to use; and in its own tenant it is its user's alone.
SESSION_TO_RUN_IN = {
    "owner": "200",
    "admin": "404",
    "other user": "404",
    "other tenant": "200",
    "other tenant's admin": "200",
}


def expected(endpoint: str, caller: str, *, exists: bool) -> str:
    if endpoint == "run in session":
        return SESSION_TO_RUN_IN[caller] if exists else "200"
    if exists and caller in {"owner", "admin"}:
        return ALLOWED.get(endpoint, "200")
    return NOT_FOUND.get(endpoint, "404")


def outcome(endpoint: str, answer: httpx2.Response) -> str:
    if endpoint not in NOT_FOUND:
        return str(answer.status_code)
    found = answer.json()
    listed = found["content"] if isinstance(found, dict) else found
    return f"{answer.status_code} {'[it]' if listed else '[]'}"


@pytest.fixture(scope="module")
def doors(app_module: AppModule) -> Doors:
    return Doors(app_module("stream").app, app_module("status").app)


MATRIX: dict[tuple[str, str], dict[str, str]] = {}


@pytest.fixture(scope="module", autouse=True)
def printed() -> Iterator[None]:
    """Print what was found, in the end."""
    yield
    print(f"\n| endpoint | it | {' | '.join(CALLERS)} |\n|---|---|{'---|' * len(CALLERS)}")  # noqa: T201 - what it is for
    for (endpoint, what), row in MATRIX.items():
        print(f"| {endpoint} | {what} | {' | '.join(row.values())} |")  # noqa: T201 - as above


@pytest.mark.parametrize("exists", [True, False], ids=["existing", "missing"])
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_caller_is_answered_as_the_matrix_says(
    doors: Doors, endpoint: str, caller: str, exists: bool
) -> None:
    thing = _thing(doors, endpoint, caller) if exists else Thing.missing()
    answer = ENDPOINTS[endpoint](doors, CALLERS[caller], thing)
    found = outcome(endpoint, answer)
    MATRIX.setdefault((endpoint, "existing" if exists else "missing"), {})[caller] = found
    assert found == expected(endpoint, caller, exists=exists)


def _thing(doors: Doors, endpoint: str, caller: str) -> Thing:
    """Return one of its own to a test that changes it or uses its id elsewhere."""
    changes = endpoint in CHANGING and caller in {"owner", "admin"}
    changes |= endpoint == "run in session"
    return doors.order() if changes else doors.kept()


@pytest.mark.parametrize("caller", ["other user", "other tenant", "other tenant's admin"])
@pytest.mark.parametrize("endpoint", [name for name in ENDPOINTS if name != "run in session"])
def test_what_is_not_ones_own_looks_as_if_it_were_not_there(
    doors: Doors, endpoint: str, caller: str
) -> None:
    foreign, missing = doors.kept(), Thing.missing()
    answers = [
        _anonymous(ENDPOINTS[endpoint](doors, CALLERS[caller], thing), thing)
        for thing in (foreign, missing)
    ]
    assert answers[0] == answers[1]
    state = doors.status(OWNER, "GET", f"{FINANCE}/{foreign.run}")
    assert state.json()["status"] == "PAUSED"


def _anonymous(answer: httpx2.Response, thing: Thing) -> tuple[int, str, dict[str, str]]:
    text = answer.text.replace(thing.approval, "ID").replace(thing.run, "ID")
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, text.replace(thing.session, "ID"), headers


@pytest.mark.parametrize("caller", CALLERS)
def test_an_idempotency_key_is_its_users_alone(doors: Doors, caller: str) -> None:
    thing = doors.kept()
    body = _order(thing.session) if caller == "owner" else {"message": "hello"}
    answer = doors.stream(
        CALLERS[caller], "POST", f"{FINANCE}/stream", body, **{"Idempotency-Key": thing.key}
    )
    assert answer.status_code == 200
    is_the_same = answer.headers["x-run-id"] == thing.run
    assert is_the_same == (caller == "owner")
    assert answer.headers.get("idempotent-replayed") == ("true" if is_the_same else None)


@pytest.mark.parametrize("caller", CALLERS)
def test_a_list_of_sessions_is_ones_own(doors: Doors, caller: str) -> None:
    thing = doors.kept()
    answer = doors.status(CALLERS[caller], "GET", "/api/sessions?size=100")
    listed = [session["id"] for session in answer.json()["content"]]
    assert (thing.session in listed) == (caller == "owner")


@pytest.mark.parametrize(
    ("caller", "status", "is_seen"),
    [
        ("owner", 200, True),
        ("admin", 200, True),
        ("other user", 403, False),
        ("other tenant", 200, False),
        ("other tenant's admin", 200, False),
    ],
)
def test_only_an_admin_lists_anothers_sessions(
    doors: Doors, caller: str, status: int, is_seen: bool
) -> None:
    thing = doors.kept()
    answer = doors.status(CALLERS[caller], "GET", "/api/sessions?size=100&userId=ana")
    assert answer.status_code == status
    assert (thing.session in json.dumps(answer.json())) == is_seen


@pytest.mark.parametrize("caller", CALLERS)
def test_lists_of_runs_and_approvals_are_ones_own_and_an_admins(doors: Doors, caller: str) -> None:
    thing = doors.kept()
    runs = doors.status(CALLERS[caller], "GET", "/api/v1/runs?size=100").json()["content"]
    pending = doors.status(CALLERS[caller], "GET", "/api/v1/approvals/pending?size=100")
    is_seen = caller in {"owner", "admin"}
    assert (thing.run in [run["id"] for run in runs]) == is_seen
    waiting = [approval["approvalId"] for approval in pending.json()["content"]]
    assert (thing.approval in waiting) == is_seen
    assert {run["orgId"] for run in runs} <= {CALLERS[caller].org}


@pytest.mark.parametrize(
    ("caller", "status", "is_seen"),
    [
        ("owner", 200, True),
        ("admin", 200, True),
        ("other user", 403, False),
        ("other tenant", 200, False),
        ("other tenant's admin", 200, False),
    ],
)
def test_only_an_admin_lists_anothers_runs(
    doors: Doors, caller: str, status: int, is_seen: bool
) -> None:
    thing = doors.kept()
    answer = doors.status(CALLERS[caller], "GET", "/api/v1/runs?size=100&userId=ana")
    assert answer.status_code == status
    assert (thing.run in json.dumps(answer.json())) == is_seen


def test_a_run_is_seen_under_its_own_agent_only(doors: Doors) -> None:
    thing = doors.kept()
    assert doors.status(OWNER, "GET", f"/api/agents/echo/runs/{thing.run}").status_code == 404
    body = {"action": "REJECT"}
    path = f"/api/agents/echo/runs/{thing.run}/continue"
    assert doors.stream(OWNER, "POST", path, body).status_code == 404
