"""The dev key pair: made once, kept private, good for real verification."""

import json
import re
import stat
from pathlib import Path

import jwt
import pytest

from agentrun.adapters.tokens.verifier import JwtVerifier, verifier_from
from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.principal import Principal
from agentrun.settings import Settings
from agentrun_local.machine.identity import AUDIENCE, CLAIMS, ISSUER, Caller, DevIdentity
from agentrun_local.machine.webhook_secret import WEBHOOK_SECRET_ARN
from agentrun_local.stack import StackOptions, stack_parameters
from agentrun_local.template.resources import read_stack
from tests.translated_template import ROOT


def claims_of(identity: DevIdentity, token: str) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_dict(json.loads(identity.jwks))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, object] = jwt.decode(
        token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER
    )
    return claims


def test_a_token_verifies_against_the_jwks(tmp_path: Path) -> None:
    identity = DevIdentity(tmp_path)
    claims = claims_of(identity, identity.token())
    assert claims["sub"] == "dev"
    assert claims["org_id"] == "dev-org"
    assert claims["scope"] == "runs:read runs:write"
    assert "roles" not in claims


def test_a_token_can_be_expired_from_the_start(tmp_path: Path) -> None:
    identity = DevIdentity(tmp_path)
    with pytest.raises(jwt.ExpiredSignatureError):
        claims_of(identity, identity.token(expires_in_s=-1))


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / ".agentrun"
    assert DevIdentity(folder).jwks == DevIdentity(folder).jwks
    (key,) = folder.iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_jwks_holds_no_private_part(tmp_path: Path) -> None:
    (key,) = json.loads(DevIdentity(tmp_path).jwks)["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def verifier(folder: Path, **given: str) -> JwtVerifier:
    """Return the verifier of the functions of a stack on this machine."""
    options = StackOptions(ROOT / "template.yaml", "demo", None, given)
    parameters = stack_parameters(options, DevIdentity(folder))
    variables = read_stack(options.template, parameters).functions["StreamFunction"].environment
    return verifier_from(Settings.from_environment(variables))


def test_a_stack_takes_the_tokens_of_its_own_identity(tmp_path: Path) -> None:
    identity = DevIdentity(tmp_path)
    caller = Caller(user="ann", org="acme", scope="runs:read", roles=["admin"])
    assert verifier(tmp_path).verify(identity.token(caller)).principal == Principal(
        tenant="acme",
        user_id="ann",
        scopes=frozenset({"runs:read"}),
        roles=frozenset({"admin"}),
    )


def test_a_stack_names_every_parameter_that_says_how_tokens_are_read() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    (group,) = re.findall(r"Claims of tokens }\n +Parameters: \[(.*)\]", template)
    assert set(CLAIMS) == {"AudienceClaim", *group.split(", ")}


def test_parameters_of_the_developer_win(tmp_path: Path) -> None:
    token = DevIdentity(tmp_path).token()
    assert verifier(tmp_path, OrgClaim="").verify(token).principal.tenant == "default"
    assert verifier(tmp_path, OrgClaim="sub").verify(token).principal.tenant == "dev"
    assert verifier(tmp_path, ScopePrefix="x/").verify(token).principal.scopes == frozenset()
    with pytest.raises(UnauthenticatedError):
        verifier(tmp_path, OrgClaim="o.id").verify(token)


def test_an_issuer_of_the_developers_brings_its_own_keys_and_claims(tmp_path: Path) -> None:
    given = {"Issuer": "https://issuer.test", "JwksUrl": "https://issuer.test/keys"}
    options = StackOptions(ROOT / "template.yaml", "demo", None, given)
    assert stack_parameters(options, DevIdentity(tmp_path)) == {
        "Model": "demo",
        "Audience": "agentrun",
        "WebhookSecretArn": WEBHOOK_SECRET_ARN,
        **given,
    }
