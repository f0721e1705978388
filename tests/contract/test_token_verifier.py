"""What every `TokenVerifier` has to refuse, and what it reads."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from agentrun.adapters.jwt_verifier import JwtVerifier, StaticSigningKeys
from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.principal import Principal

KEYS: dict[str, tuple[Any, Callable[[Any], str]]] = {
    "RS256": (rsa.generate_private_key(65537, 2048), RSAAlgorithm.to_jwk),
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm.to_jwk),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm.to_jwk),
}
JWKS = {
    "keys": [
        json.loads(to_jwk(key.public_key())) | {"kid": name, "use": "sig", "alg": name}
        for name, (key, to_jwk) in KEYS.items()
    ]
}
VERIFIER = JwtVerifier(
    StaticSigningKeys(JWKS), issuer="https://issuer.test", audience="agentrun", org_claim="org"
)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    fields = {
        "iss": "https://issuer.test",
        "aud": "agentrun",
        "sub": "ana",
        "org": "acme",
        "scope": "runs:read runs:write",
        "roles": ["admin"],
        "iat": now,
        "exp": now + 600,
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def token(algorithm: str = "ES256", kid: str | None = None, **changes: Any) -> str:
    key = KEYS[algorithm][0]
    return jwt.encode(
        claims(**changes), key, algorithm=algorithm, headers={"kid": kid or algorithm}
    )


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_a_good_token_gives_its_caller(algorithm: str) -> None:
    assert VERIFIER.verify(token(algorithm)).principal == Principal(
        tenant="acme",
        user_id="ana",
        scopes=frozenset({"runs:read", "runs:write"}),
        roles=frozenset({"admin"}),
    )


def test_without_an_organisation_the_tenant_is_the_default_one() -> None:
    assert VERIFIER.verify(token(org=None)).principal.tenant == "default"


def test_clocks_may_differ_by_a_minute() -> None:
    now = int(time.time())
    assert VERIFIER.verify(token(exp=now - 50)).expires_epoch_s == now - 50
    assert VERIFIER.verify(token(nbf=now + 50, iat=now + 50)).principal.user_id == "ana"


def unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'kid': 'ES256'})}.{part(claims())}."


NOW = int(time.time())
REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: token(exp=NOW - 70),
    "not yet valid": lambda: token(nbf=NOW + 300),
    "no expiry": lambda: token(exp=None),
    "no subject": lambda: token(sub=None),
    "empty subject": lambda: token(sub=""),
    "subject not a string": lambda: token(sub=7),
    "wrong issuer": lambda: token(iss="https://evil.test"),
    "wrong audience": lambda: token(aud="other"),
    "no audience": lambda: token(aud=None),
    "unknown kid": lambda: token(kid="nobody"),
    "kid of another key": lambda: token("ES256", kid="RS256"),
    "path in kid": lambda: token(kid="../../dev/null"),
    "tenant with a separator": lambda: token(org="acme#RUN#x"),
    "tenant not a string": lambda: token(org=["acme"]),
    "unsigned": unsigned,
    "symmetric": lambda: jwt.encode(
        claims(), "x" * 32, algorithm="HS256", headers={"kid": "ES256"}
    ),
    "no kid": lambda: jwt.encode(claims(), KEYS["ES256"][0], algorithm="ES256"),
    "tampered": lambda: token()[:-8] + "AAAAAAAA",
    "truncated": lambda: token()[:40],
    "not a token": lambda: "abc",
    "not ASCII": lambda: "é.é.é",
    "empty": lambda: "",
    "huge": lambda: "x" * 1_000_000,
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_bad_token_is_refused_always_in_the_same_words(name: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^The bearer token is not valid\.$"):
        VERIFIER.verify(REFUSED[name]())
