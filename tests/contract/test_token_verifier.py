"""What every `TokenVerifier` has to refuse, and what it reads."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from agentrun.adapters.tokens.signing_keys import StaticSigningKeys, UnknownKeyError
from agentrun.adapters.tokens.verifier import JwtVerifier, TokenClaims
from agentrun.domain.errors import IssuerUnavailableError, UnauthenticatedError
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
    StaticSigningKeys(JWKS),
    issuer="https://issuer.test",
    audience="agentrun",
    claims=TokenClaims(organisation="org"),
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


def by_name(algorithm: str, kid: str = "EdDSA") -> str:
    """Sign with the Ed25519 key, whatever the header calls that."""
    return raw_token({"alg": algorithm, "kid": kid}, claims(), KEYS["EdDSA"][0].sign)


def test_ed25519_is_eddsa() -> None:
    """RFC 9864 gives the algorithm that the key is bound to a name of its own."""
    assert VERIFIER.verify(by_name("Ed25519")).principal == VERIFIER.verify(token()).principal


ORGANISATIONS = [
    "acme#RUN#x",
    "https://idp.example/o?id=7",
    "a.b:c/d",
    "acme ",
    "\u65e5\u672c",
    "o" * 256,
]


@pytest.mark.parametrize("org", ORGANISATIONS)
def test_an_organisation_is_the_tenant_whatever_it_is_called(org: str) -> None:
    assert VERIFIER.verify(token(org=org)).principal.tenant == org


def test_clocks_may_differ_by_a_minute() -> None:
    now = int(time.time())
    assert VERIFIER.verify(token(exp=now - 50)).expires_epoch_s == now - 50
    assert VERIFIER.verify(token(nbf=now + 50, iat=now + 50)).principal.user_id == "ana"


COGNITO_ACCESS: dict[str, Any] = {"aud": None, "client_id": "agentrun", "token_use": "access"}


@pytest.mark.parametrize(
    "audience",
    [
        {"aud": ["other", "agentrun"]},
        {"token_use": "id"},
        {"token_use": "access", "client_id": "other"},
        COGNITO_ACCESS,
    ],
)
def test_a_token_is_for_this_api_by_aud_or_as_an_access_token_of_its_client(
    audience: dict[str, Any],
) -> None:
    assert VERIFIER.verify(token(**audience)).principal.user_id == "ana"


def test_names_in_an_array_are_never_taken_apart() -> None:
    principal = VERIFIER.verify(
        token(scope=["runs:read", "a b", 7, "\ud800"], roles=["not admin"])
    ).principal
    assert (principal.scopes, principal.roles) == (frozenset({"runs:read"}), frozenset())


def test_a_token_may_have_8_kib_and_no_more() -> None:
    spare = 8 * 1024 - len(token(x=""))
    # Base64 makes four characters of three.
    assert VERIFIER.verify(token(x="x" * (spare * 3 // 4 - 4))).principal.user_id == "ana"
    with pytest.raises(UnauthenticatedError) as refusal:
        VERIFIER.verify(token(x="x" * (spare * 3 // 4 + 4)))
    assert refusal.value.reason == "too long, or not ASCII"


class KeysOfASilentIssuer:
    def key(self, kid: str) -> jwt.PyJWK:
        raise IssuerUnavailableError

    def kept(self, kid: str) -> jwt.PyJWK | None:
        return None


def test_a_token_that_nobody_can_check_is_neither_good_nor_bad() -> None:
    verifier = JwtVerifier(KeysOfASilentIssuer(), issuer="https://issuer.test", audience="agentrun")
    with pytest.raises(IssuerUnavailableError):
        verifier.verify(token())


def raw_token(header: object, payload: object, sign: Callable[[bytes], bytes]) -> str:
    """Put a token together that no library would make; bytes are taken as they are."""

    def part(value: object) -> bytes:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    signed = part(header) + b"." + part(payload)
    return (signed + b"." + part(sign(signed))).decode()


def symmetric_by_public_key(form: serialization.Encoding) -> str:
    secret = KEYS["RS256"][0].public_key()
    pem = secret.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "kid": "RS256"}
    return raw_token(header, claims(), lambda signed: hmac.digest(pem, signed, "sha256"))


def signed_by_a_stranger(kid: str = "ES256", **header: Any) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": kid}
    embedded = {"jwk": jwk} if header.pop("embedded", False) else {}
    return jwt.encode(claims(), key, algorithm="ES256", headers={"kid": kid, **embedded, **header})


NOW = int(time.time())
EVIL_URL = "https://evil.test/jwks.json"
REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: token(exp=NOW - 70),
    "expired, by a boolean": lambda: token(exp=True),
    "not yet valid": lambda: token(nbf=NOW + 86_400),
    "no expiry": lambda: token(exp=None),
    "expiry not a number": lambda: token(exp="soon"),
    "expiry without end": lambda: token(exp=float("inf")),
    "no subject": lambda: token(sub=None),
    "empty subject": lambda: token(sub=""),
    "subject too long": lambda: token(sub="x" * 257),
    "subject not a string": lambda: token(sub=7),
    "subject not text": lambda: token(sub="\ud800"),
    "subject with a NUL": lambda: token(sub="a\0b"),
    "wrong issuer": lambda: token(iss="https://evil.test"),
    "no issuer": lambda: token(iss=None),
    "wrong audience": lambda: token(aud="other"),
    "part of the audience": lambda: token(aud="agent"),
    "audience not a string": lambda: token(aud={"agentrun": 1}),
    "no audience": lambda: token(aud=None),
    "no audience, but a client": lambda: token(aud=None, client_id="agentrun"),
    "no audience, but an ID token's use": lambda: token(**COGNITO_ACCESS | {"token_use": "id"}),
    "access token of another client": lambda: token(**COGNITO_ACCESS | {"client_id": "other"}),
    "access token for another API": lambda: token(**COGNITO_ACCESS | {"aud": "other"}),
    "another use": lambda: token(token_use="refresh"),
    "no kid": lambda: jwt.encode(claims(), KEYS["ES256"][0], algorithm="ES256"),
    "kid not a string": lambda: raw_token({"alg": "ES256", "kid": 7}, claims(), bytes),
    "unknown kid": lambda: token(kid="nobody"),
    "path in kid": lambda: token(kid="../../dev/null"),
    "SQL in kid": lambda: token(kid="x' UNION SELECT 'secret"),
    "kid of another key": lambda: token("ES256", kid="RS256"),
    "algorithm of another key": lambda: token("RS256", kid="ES256"),
    "another hash": lambda: jwt.encode(
        claims(), KEYS["RS256"][0], algorithm="RS512", headers={"kid": "RS256"}
    ),
    "another padding": lambda: jwt.encode(
        claims(), KEYS["RS256"][0], algorithm="PS256", headers={"kid": "RS256"}
    ),
    "EdDSA of another curve": lambda: by_name("Ed448"),
    "Ed25519 for a key of another type": lambda: by_name("Ed25519", kid="ES256"),
    "Ed25519, badly signed": lambda: raw_token(
        {"alg": "Ed25519", "kid": "EdDSA"}, claims(), lambda _: bytes(64)
    ),
    "unsigned": lambda: raw_token({"alg": "none", "kid": "ES256"}, claims(), lambda _: b""),
    "unsigned, in capitals": lambda: raw_token({"alg": "NONE", "kid": "ES256"}, claims(), bytes),
    "no algorithm": lambda: raw_token({"kid": "ES256"}, claims(), bytes),
    "signature of zeros": lambda: raw_token(
        {"alg": "ES256", "kid": "ES256"}, claims(), lambda _: bytes(64)
    ),
    "symmetric by a secret": lambda: jwt.encode(
        claims(), "x" * 32, algorithm="HS256", headers={"kid": "ES256"}
    ),
    "symmetric by the public key": lambda: symmetric_by_public_key(serialization.Encoding.PEM),
    "symmetric by its bytes": lambda: symmetric_by_public_key(serialization.Encoding.DER),
    "a stranger's, by kid": signed_by_a_stranger,
    "a stranger's, by jku": lambda: signed_by_a_stranger("evil", jku=EVIL_URL),
    "a stranger's, by x5u": lambda: signed_by_a_stranger("evil", x5u=EVIL_URL),
    "a stranger's, by x5c": lambda: signed_by_a_stranger("evil", x5c=["MIIB"]),
    "a stranger's, by its own jwk": lambda: signed_by_a_stranger("evil", embedded=True),
    "a stranger's jwk under a good kid": lambda: signed_by_a_stranger(embedded=True),
    "a critical extension": lambda: jwt.encode(
        claims(),
        KEYS["ES256"][0],
        algorithm="ES256",
        headers={"kid": "ES256", "crit": ["exp"], "exp": NOW + 600},
    ),
    "tampered": lambda: token()[:-8] + "AAAAAAAA",
    "claims of another token": lambda: ".".join(
        [token().split(".")[0], token(sub="eve").split(".")[1], token().split(".")[2]]
    ),
    "truncated": lambda: token()[:-1],
    "cut short": lambda: token()[:40],
    "no claims": lambda: raw_token({"alg": "ES256", "kid": "ES256"}, [], bytes),
    "nested without end": lambda: raw_token(b"[" * 5000, claims(), bytes),
    "blank subject": lambda: token(sub=" \u2003\t"),
    "no tenant": lambda: token(org=None),
    "tenant too long": lambda: token(org="o" * 257),
    "tenant of white space": lambda: token(org="   "),
    "tenant not text": lambda: token(org="\ud800"),
    "tenant with a line end": lambda: token(org="acme\n"),
    "tenant not a string": lambda: token(org=["acme"]),
    "tenant of nothing": lambda: token(org=""),
    "not a token": lambda: "abc",
    "two tokens": lambda: f"{token()} {token()}",
    "not ASCII": lambda: "é.é.é",
    "not text": lambda: "\ud800",
    "empty": lambda: "",
    "huge": lambda: "x" * 1_000_000,
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_bad_token_is_refused_always_in_the_same_words(name: str) -> None:
    bad = REFUSED[name]()
    for _ in range(2):
        with pytest.raises(UnauthenticatedError, match=r"^A valid bearer token is required\.$"):
            VERIFIER.verify(bad)
        assert VERIFIER.known(bad) is None


class ChangingKeys:
    """One key, which its issuer can publish again, as another object, or withdraw."""

    def __init__(self) -> None:
        self.publish()

    def publish(self) -> None:
        self.now: jwt.PyJWK | None = jwt.PyJWK(JWKS["keys"][1])

    def key(self, kid: str) -> jwt.PyJWK:
        if self.now is None:
            raise UnknownKeyError
        return self.now

    def kept(self, kid: str) -> jwt.PyJWK | None:
        return self.now


def verifier_with(keys: ChangingKeys) -> JwtVerifier:
    named = TokenClaims(organisation="org")
    return JwtVerifier(keys, issuer="https://issuer.test", audience="agentrun", claims=named)


def test_a_good_token_is_known_from_then_on() -> None:
    verifier, good = verifier_with(ChangingKeys()), token()
    assert verifier.known(good) is None
    verified = verifier.verify(good)
    assert verifier.known(good) == verifier.verify(good) == verified
    assert verifier.known(token(sub="eve")) is None


def test_a_known_token_is_looked_at_again_when_its_keys_are_fetched_again() -> None:
    keys = ChangingKeys()
    verifier, good = verifier_with(keys), token()
    verifier.verify(good)
    keys.publish()
    assert verifier.known(good) is None
    verifier.verify(good)
    keys.now = None
    assert verifier.known(good) is None
    with pytest.raises(UnauthenticatedError):
        verifier.verify(good)


def test_a_known_token_is_refused_from_the_end_of_its_leeway() -> None:
    verifier = verifier_with(ChangingKeys())
    ending = int(time.time()) + 2
    good = token(exp=ending - 60)
    verifier.verify(good)
    asked = time.time()
    while verifier.known(good):
        assert asked < ending
        time.sleep(0.01)
        asked = time.time()
    assert time.time() >= ending
    with pytest.raises(UnauthenticatedError):
        verifier.verify(good)


def test_only_the_tokens_used_last_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrun.adapters.tokens.verifier.MAX_KEPT_TOKENS", 2)
    verifier = verifier_with(ChangingKeys())
    first, second, third = (token(sub=name) for name in ("ana", "ben", "cem"))
    for good in (first, second, first, third):
        verifier.verify(good)
    assert verifier.known(second) is None
    assert verifier.known(first)
    assert verifier.known(third)
