"""JWKS documents (RFC 7517): which of their keys may verify a token, and by which algorithm."""

from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

MIN_RSA_BITS = 2048
"""RFC 7518, section 3.3, forbids RS256 with less."""


def verification_keys(document: object) -> Mapping[str, PyJWK]:
    """
    Read a JWKS document that has been parsed as JSON.

    Each key is bound to the one algorithm of its type: RS256, ES256 (P-256) or EdDSA (Ed25519, a
    name that `alg` may have as well, RFC 9864). Members that are null count as absent.
    All other keys are left out, as RFC 7517, section 5, advises: of another type, curve or `alg`,
    by `use` or `key_ops` not for verifying, private or secret, too weak, malformed, without a
    `kid`.

    Returns:
        The keys by `kid`; of several with the same one, the first. There may be none.

    Raises:
        ValueError: This is not a JWKS document.
    """
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("This is not a JWKS document.")
    found: dict[str, PyJWK] = {}
    for jwk in keys:
        key = _verification_key(jwk)
        if key is not None and key.key_id is not None:
            found.setdefault(key.key_id, key)
    return found


def _verification_key(jwk: object) -> PyJWK | None:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str):
        return None
    jwk = {name: value for name, value in jwk.items() if value is not None}
    algorithm = _algorithm_of(jwk)
    if algorithm is None:
        return None
    try:
        key = PyJWK(jwk, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS:
        return None
    return key


def _algorithm_of(jwk: dict[str, Any]) -> str | None:
    # RFC 8725, section 3.1: the key decides the algorithm, never the token.
    match jwk:
        case {"d": _}:
            return None
        case {"kty": "RSA"}:
            algorithm = "RS256"
        case {"kty": "EC", "crv": "P-256"}:
            algorithm = "ES256"
        case {"kty": "OKP", "crv": "Ed25519"}:
            algorithm = "EdDSA"
        case _:
            return None
    uses = jwk.get("key_ops", ["verify"])
    names = ("EdDSA", "Ed25519") if algorithm == "EdDSA" else (algorithm,)
    is_meant = jwk.get("alg", algorithm) in names and jwk.get("use", "sig") == "sig"
    return algorithm if is_meant and isinstance(uses, list) and "verify" in uses else None
