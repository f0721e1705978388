"""The dev key pair: made once, kept private, good for real verification."""

import json
import stat
from pathlib import Path

import jwt
import pytest

from agentrun_local.dev_identity import AUDIENCE, ISSUER, Caller, DevIdentity


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


def test_a_token_says_what_was_asked_for(tmp_path: Path) -> None:
    identity = DevIdentity(tmp_path)
    caller = Caller(user="ann", org="acme", scope="runs:read", roles=["admin"])
    claims = claims_of(identity, identity.token(caller, expires_in_s=60))
    assert (claims["sub"], claims["org_id"], claims["roles"]) == ("ann", "acme", ["admin"])


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
