"""JWKS documents (RFC 7517): which of their keys may verify a token, and one request for them."""

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

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


MAX_DOCUMENT_BYTES = 256 * 1024
"""Far above what issuers publish, a few KB, and little enough to be parsed at once."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Some issuers sit behind filters that refuse urllib's own name.
_HEADERS = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "agentrun"}


class JwksUnavailableError(Exception):
    """The issuer did not answer in time, or not with a JWKS document."""


class JwksEndpoint:
    """A URL that serves a JWKS document; https, or plain http on this machine."""

    def __init__(self, url: str) -> None:
        """
        Take the URL, without asking it.

        Raises:
            ValueError: What comes from this URL could be changed on its way.
        """
        parts = urlsplit(url)
        is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not (is_local or (parts.scheme == "https" and parts.hostname)):
            raise ValueError(f"The issuer's keys need an https URL, not '{url}'.")
        self._url = url

    def fetch(self, timeout_s: float) -> Mapping[str, PyJWK]:
        """
        Ask for the keys, and follow redirects within the same host only.

        Args:
            timeout_s: For each step of the connection, and for the body as a whole; resolving
                the name has the system's own limits.

        Raises:
            JwksUnavailableError: No usable answer, with the reason for the log; retrying is safe.
        """
        try:
            return verification_keys(self.document(timeout_s))
        except (ValueError, RecursionError) as error:
            raise JwksUnavailableError(f"{type(error).__name__}: {error}") from error

    def document(self, timeout_s: float) -> Any:
        """
        Ask for the JSON at the URL, whatever it says, as `fetch` does.

        Raises:
            JwksUnavailableError: As of `fetch`.
        """
        try:
            return json.loads(self._body(timeout_s))
        except HTTPError as error:
            error.close()
            raise JwksUnavailableError(f"HTTP status {error.code}") from error
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise JwksUnavailableError(f"{type(error).__name__}: {error}") from error

    def _body(self, timeout_s: float) -> bytes:
        # The scheme has been looked at, here and for redirects.
        request = Request(self._url, headers=_HEADERS)  # noqa: S310
        body = bytearray()
        with build_opener(_SameOriginRedirects).open(request, timeout=timeout_s) as answer:
            deadline = time.monotonic() + timeout_s
            while chunk := answer.read1(MAX_DOCUMENT_BYTES):
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise ValueError(f"more than {MAX_DOCUMENT_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError("the body came too slowly")
        return bytes(body)


class _SameOriginRedirects(HTTPRedirectHandler):
    # Another host could be one inside the network that the function is in, or without https.
    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)
