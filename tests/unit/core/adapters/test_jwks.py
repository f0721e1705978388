"""Which keys of a JWKS document count, and where one may come from."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from agentrun.adapters.tokens.jwks import JwksEndpoint, verification_keys
from agentrun.adapters.tokens.signing_keys import StaticSigningKeys

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def ec_jwk(**members: Any) -> dict[str, Any]:
    return {**json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key())), "kid": "k", **members}


def rsa_jwk(**members: Any) -> dict[str, Any]:
    return {**json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key())), "kid": "k", **members}


def jwk_of(key: Any, algorithm: Any) -> dict[str, Any]:
    return {**json.loads(algorithm.to_jwk(key)), "kid": "k"}


def ed_jwk(**members: Any) -> dict[str, Any]:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return {**jwk_of(key, OKPAlgorithm), **members}


@pytest.mark.parametrize(
    ("jwk", "algorithm"),
    [
        (rsa_jwk(), "RS256"),
        (ec_jwk(), "ES256"),
        (ed_jwk(), "EdDSA"),
        (rsa_jwk(alg="RS256", use="sig", key_ops=["verify"], x5c=["ignored"]), "RS256"),
        (rsa_jwk(alg=None, use=None, key_ops=None, x5c=None, d=None), "RS256"),
        (ed_jwk(alg="EdDSA"), "EdDSA"),
        (ed_jwk(alg="Ed25519"), "EdDSA"),
    ],
)
def test_a_key_is_bound_to_the_algorithm_of_its_type(jwk: dict[str, Any], algorithm: str) -> None:
    assert verification_keys({"keys": [jwk]})["k"].algorithm_name == algorithm


LEFT_OUT: dict[str, Any] = {
    "another algorithm of the same type": rsa_jwk(alg="PS256"),
    "a longer hash": rsa_jwk(alg="RS512"),
    "a symmetric algorithm for a public key": rsa_jwk(alg="HS256"),
    "an algorithm of another curve": ed_jwk(alg="Ed448"),
    "the name of another type's algorithm": ec_jwk(alg="Ed25519"),
    "an algorithm that is no text": ed_jwk(alg=["Ed25519"]),
    "a kid that is null": ec_jwk(kid=None),
    "for encryption": ec_jwk(use="enc"),
    "for signing only": ec_jwk(key_ops=["sign"]),
    "key_ops that are no list": ec_jwk(key_ops="verify"),
    "no kid": {name: value for name, value in ec_jwk().items() if name != "kid"},
    "a kid that is no string": ec_jwk(kid=7),
    "symmetric": {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
    "symmetric with an allowed alg": {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "RS256"},
    "private": jwk_of(EC_KEY, ECAlgorithm),
    "another curve": jwk_of(ec.generate_private_key(ec.SECP384R1()).public_key(), ECAlgorithm),
    "no curve": {name: value for name, value in ec_jwk().items() if name != "crv"},
    "a point off the curve": ec_jwk(x=ec_jwk()["y"]),
    "members missing": {"kty": "RSA", "kid": "k"},
    "members of another type": rsa_jwk(n=7),
    "too short": jwk_of(rsa.generate_private_key(65537, 1024).public_key(), RSAAlgorithm),  # noqa: S505
    "not an object": "k",
}


@pytest.mark.parametrize("name", list(LEFT_OUT))
def test_a_key_that_may_not_verify_is_left_out(name: str) -> None:
    assert verification_keys({"keys": [LEFT_OUT[name]]}) == {}


def test_of_several_keys_with_one_id_the_first_counts() -> None:
    document = {"keys": [LEFT_OUT["symmetric"], ec_jwk(), rsa_jwk()]}
    assert verification_keys(document)["k"].algorithm_name == "ES256"


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, "keys"])
def test_what_is_no_jwks_is_an_error(document: object) -> None:
    with pytest.raises(ValueError, match="not a JWKS"):
        verification_keys(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
MEMBERS = st.sampled_from([*rsa_jwk(alg="RS256", use="sig", key_ops=["verify"]), "x", "y", "crv"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([rsa_jwk, ec_jwk]), st.dictionaries(MEMBERS, JSON))
def test_a_damaged_key_is_left_out_or_still_bound_to_its_type(
    jwk: Callable[..., dict[str, Any]], damage: dict[str, Any]
) -> None:
    for key in verification_keys({"keys": [jwk(**damage)]}).values():
        assert key.algorithm_name in {"RS256", "ES256", "EdDSA"}


def test_keys_handed_over_must_be_of_some_use() -> None:
    assert StaticSigningKeys({"keys": [ec_jwk()]}).key("k").algorithm_name == "ES256"
    with pytest.raises(ValueError, match="no key with a kid"):
        StaticSigningKeys({"keys": [LEFT_OUT["symmetric"]]})


@pytest.mark.parametrize(
    "url",
    ["http://issuer.test/jwks", "http://127.0.0.1.issuer.test/", "file:///etc/passwd", "/jwks", ""],
)
def test_keys_are_fetched_by_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        JwksEndpoint(url)
