"""Organisations stay apart, whatever they are called and whatever a token leaves out."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from starlette.testclient import TestClient

from agentrun.adapters.tokens.verifier import MAX_TOKEN_BYTES
from agentrun.http.bearer import RefusedTokenError, verified_by_gateway
from agentrun.settings import Settings
from tests.contract.test_token_verifier import KEYS, claims, raw_token, token
from tests.integration.conftest import deployment
from tests.integration.front_doors import METHOD_ARN, Authorizer, FunctionUrl, rest_api

RUNS = "/api/agents/echo/runs"


def compact_token(changes: dict[str, Any]) -> str:
    """Sign claims as UTF-8; PyJWT would write twelve bytes for a character of four."""
    payload = json.dumps(claims(**changes), ensure_ascii=False).encode()
    return raw_token({"alg": "EdDSA", "kid": "EdDSA"}, payload, KEYS["EdDSA"][0].sign)


@dataclass(frozen=True)
class Doors:
    """The REST API, its authorizer included, and the Function URL, on one table."""

    rest: TestClient
    url: TestClient
    authorizer: Authorizer

    def ask(self, who: dict[str, Any], path: str = RUNS, body: Any = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {compact_token(who)}"}
        return self.rest.request("POST" if body else "GET", path, json=body, headers=headers)

    def statuses(self, who: dict[str, Any]) -> dict[str, int]:
        """Begin a run through each door."""
        headers, body = {"Authorization": f"Bearer {compact_token(who)}"}, {"message": "hi"}
        doors = {"rest": self.rest, "url": self.url}
        return {
            name: door.post(f"{RUNS}/stream", json=body, headers=headers).status_code
            for name, door in doors.items()
        }


@pytest.fixture
def doors() -> Iterator[Doors]:
    with deployment(AGENTRUN_ORG_CLAIM="o.id") as app_module:
        api = rest_api(app_module)
        url = FunctionUrl(api.stream)
        yield Doors(TestClient(api), TestClient(url), app_module("authorizer").handler)


def caller(org: str | None, user: str = "ana", *roles: str) -> dict[str, Any]:
    return {"org": None, "o": org and {"id": org}, "sub": user, "roles": list(roles)}


def test_an_organisations_admin_does_not_see_anothers_run(doors: Doors) -> None:
    """With the claim of newer Clerk tokens, `o.id`, of which nothing was read before."""
    made = doors.ask(caller("org_acme"), body={"message": "hi"})
    run = made.json()["runId"]
    assert doors.ask(caller("org_acme", "root", "admin"), f"{RUNS}/{run}").status_code == 200
    assert doors.ask(caller("org_umbrella", "root", "admin"), f"{RUNS}/{run}").status_code == 404


def test_a_token_that_names_no_organisation_is_refused_and_the_log_says_which_claim(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert doors.statuses(caller(None)) == {"rest": 401, "url": 401}
    why = "no organisation in the claim 'o.id'"
    reasons = [vars(record)["reason"] for record in caplog.records if "reason" in vars(record)]
    assert reasons == [why]
    # What Lambda's runtime logs of the authorizer's refusal.
    event = {"authorizationToken": f"Bearer {compact_token(caller(None))}", "methodArn": METHOD_ARN}
    with pytest.raises(RefusedTokenError) as refused:
        doors.authorizer(event, None)
    assert vars(refused.value)["exception_type"] == f"token refused: {why}"


def test_without_the_setting_a_token_without_an_organisation_is_refused_too() -> None:
    """A variable that is missing is no decision: what a template leaves out opens nothing."""
    assert Settings.from_environment({}).org_claim == "org_id"
    assert Settings.from_environment({"AGENTRUN_ORG_CLAIM": ""}).org_claim == ""


def test_only_where_no_claim_is_configured_is_everybody_of_the_default_tenant() -> None:
    with deployment(AGENTRUN_ORG_CLAIM="") as app_module:
        doors = TestClient(rest_api(app_module))
        headers = {"Authorization": f"Bearer {token(org='acme')}"}
        made = doors.post(RUNS, json={"message": "hi", "orgId": "default"}, headers=headers)
        shown = doors.get(f"{RUNS}/{made.json()['runId']}", headers=headers)
    assert shown.json()["orgId"] == "default"


HOSTILE = [
    *("acme", "ACME", "acme ", "acme.eu:7/9", "https://idp.example/orgs/7", "https://idp.example"),
    *("acme#RUN", "acme%23RUN", "acme%2523RUN", "acme#USER#ana", "ORG#acme", "#", "%", "%23"),
    *("\u00e9", "e\u0301", "\u65e5\u672c", "o" * 256, "o" * 255 + "#", "#" * 256),
    "\U0001f989" * 256,
]
LONGEST_USER = "\U0001f98a" * 256


def test_organisations_stay_apart_whatever_they_are_called(doors: Doors) -> None:
    """Each uses the same session id and Idempotency-Key; none meets what another has."""
    session = str(uuid4())
    body = {"message": "hi", "sessionId": session}
    runs: dict[str, str] = {}
    for org in HOSTILE:
        headers = {"Authorization": f"Bearer {compact_token(caller(org, LONGEST_USER))}"}
        made = doors.url.post(
            f"{RUNS}/stream", json=body | {"orgId": org}, headers=headers | {"Idempotency-Key": "k"}
        )
        assert made.status_code == 200, made.text
        runs[org] = made.headers["x-run-id"]
    assert len(set(runs.values())) == len(HOSTILE)
    for org in HOSTILE:
        admin = caller(org, "root", "admin")
        seen = {of: doors.ask(admin, f"{RUNS}/{run}") for of, run in runs.items()}
        assert [of for of, answer in seen.items() if answer.status_code == 200] == [org]
        assert seen[org].json()["orgId"] == org
        assert seen[org].json()["userId"] == LONGEST_USER
        listed = doors.ask(caller(org, LONGEST_USER), "/api/sessions").json()
        assert [item["id"] for item in listed["content"]] == [session]
        (run,) = doors.ask(admin, f"/api/sessions/{session}/runs").json()
        assert run["id"] == runs[org]


def test_what_the_authorizer_says_of_the_longest_token_fits_the_gateway() -> None:
    """8 KB is API Gateway's quota for what a Lambda authorizer returns; it would answer 500."""
    names = {"user_id": LONGEST_USER, "tenant": HOSTILE[-1]}
    scopes = " ".join(f"scope:{number}" for number in range(1000))
    who = caller(names["tenant"], names["user_id"], "admin")
    room = MAX_TOKEN_BYTES - len(compact_token(who | {"scope": ""}))
    bearer = compact_token(who | {"scope": scopes[: room * 3 // 4 - 4]})
    assert MAX_TOKEN_BYTES - 8 < len(bearer) <= MAX_TOKEN_BYTES
    with deployment(AGENTRUN_ORG_CLAIM="o.id") as app_module:
        answer = app_module("authorizer").handler(
            {"authorizationToken": f"Bearer {bearer}", "methodArn": METHOD_ARN}, None
        )
    # As awslambdaric writes it for Python 3.12 and later.
    assert len(json.dumps(answer, ensure_ascii=False).encode()) < 8 * 1024
    assert verified_by_gateway(answer["context"]).principal.tenant == names["tenant"]
