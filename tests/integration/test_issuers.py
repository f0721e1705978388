"""
Six issuers' tokens, as they come, with the parameters that docs/deploy.md has for them.

`make test ARGS="tests/integration/test_issuers.py -s"` prints what was accepted, where.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import jwt
import pytest
import yaml
from starlette.testclient import TestClient

from agentrun_local.template.resources import read_stack
from tests.contract.test_token_verifier import JWKS, KEYS
from tests.integration.conftest import deployment
from tests.integration.front_doors import FunctionUrl, rest_api
from tests.integration.issuer_tokens import TOKENS, IssuedToken
from tests.translated_template import ROOT

RUNS = "/api/agents/echo/runs"
GUIDE = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
SETS = re.compile(
    r"^### ([^\n]+)\n(?:(?!^#).)*?^```yaml\n(Issuer:.*?)^```$", re.DOTALL | re.MULTILINE
)
each_token = pytest.mark.parametrize("name", list(TOKENS))


def documented(section: str) -> dict[str, str]:
    """Return the parameters of a section, lists joined as SAM CLI joins them."""
    found = yaml.safe_load(dict(SETS.findall(GUIDE))[section])
    return {k: ",".join(v) if isinstance(v, list) else str(v) for k, v in found.items()}


def parameters_of(token: IssuedToken) -> dict[str, str]:
    return documented(token.section) | token.changes


def identity_settings(parameters: dict[str, str]) -> dict[str, str]:
    """Return the variables that the template makes of parameters, with this test's keys."""
    keys = {"Jwks": json.dumps(JWKS), "JwksUrl": ""}
    stack = read_stack(ROOT / "template.yaml", parameters | keys)
    ours = ("AGENTRUN_JW", "_CLAIM", "_CLAIMS", "_PREFIX", "_SCOPES", "_ROLE")
    variables = stack.functions["StreamFunction"].environment
    return {k: v for k, v in variables.items() if k.startswith(ours[0]) or k.endswith(ours[1:])}


class Doors:
    """Both doors of a deployment."""

    def __init__(self, rest: TestClient, url: TestClient) -> None:
        self._doors = {"REST API": rest, "Function URL": url}

    def get(self, claims: dict[str, Any], path: str) -> httpx2.Response:
        return self._doors["REST API"].get(path, headers=_bearer(claims))

    def runs(self, claims: dict[str, Any]) -> dict[str, httpx2.Response]:
        """Begin a run through each door."""
        return {
            door: client.post(f"{RUNS}/stream", json={"message": "hi"}, headers=_bearer(claims))
            for door, client in self._doors.items()
        }

    def statuses(self, claims: dict[str, Any]) -> set[int]:
        return {answer.status_code for answer in self.runs(claims).values()}


def _bearer(claims: dict[str, Any]) -> dict[str, str]:
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 600}
    # All six sign with RS256.
    signed = jwt.encode(times | claims, KEYS["RS256"][0], "RS256", headers={"kid": "RS256"})
    return {"Authorization": f"Bearer {signed}"}


@contextmanager
def deployed_for(token: IssuedToken) -> Iterator[Doors]:
    with deployment(**identity_settings(parameters_of(token))) as app_module:
        api = rest_api(app_module)
        yield Doors(TestClient(api), TestClient(FunctionUrl(api.stream)))


def without(claims: dict[str, Any], claim: str) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if name != claim}


@each_token
def test_a_token_is_taken_as_it_comes_with_the_documented_parameters(name: str) -> None:
    token = TOKENS[name]
    with deployed_for(token) as doors:
        answers = doors.runs(token.claims)
        assert {answer.status_code for answer in answers.values()} == {200}
        for answer in answers.values():
            run = doors.get(token.claims, f"{RUNS}/{answer.headers['x-run-id']}").json()
            assert (run["orgId"], run["userId"]) == (token.tenant, token.claims[token.user])
    statuses = [f"{door} {answer.status_code}" for door, answer in answers.items()]
    row = f"| {name} | {_row(token)} | {', '.join(statuses)} |"
    print(f"\n{row}")  # noqa: T201 - what -s is for


@each_token
def test_each_claim_that_counts_is_asked_for(name: str) -> None:
    """Without it, or made for another API, a token is refused at both doors."""
    token = TOKENS[name]
    with deployed_for(token) as doors:
        assert doors.statuses(token.claims | {token.audience: "another"}) == {401}
        assert doors.statuses(without(token.claims, token.audience)) == {401}
        if token.organisation is not None:
            assert doors.statuses(without(token.claims, token.organisation)) == {401}
        if token.rights is not None:
            assert doors.statuses(without(token.claims, token.rights)) == {403}


@pytest.mark.parametrize("name", [name for name, token in TOKENS.items() if token.admin])
def test_an_administrators_token_shows_what_others_run(name: str) -> None:
    token = TOKENS[name]
    with deployed_for(token) as doors:
        made = doors.runs(token.claims)["Function URL"].headers["x-run-id"]
        colleague = token.claims | {"sub": "root"}
        assert doors.get(colleague, f"{RUNS}/{made}").status_code == 404
        assert token.admin is not None
        assert doors.get(colleague | token.admin, f"{RUNS}/{made}").status_code == 200


def test_every_set_of_parameters_in_the_guide_is_tried() -> None:
    assert {token.section for token in TOKENS.values()} == set(dict(SETS.findall(GUIDE)))


def _row(token: IssuedToken) -> str:
    parameters = parameters_of(token)
    left_out = {"Issuer", "Audience", "JwksUrl"}
    return ", ".join(f"{k}={v}" for k, v in parameters.items() if k not in left_out)
