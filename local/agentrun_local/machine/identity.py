"""The local token issuer: a key pair on disk, and tokens signed with it."""

import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://agentrun.local"
AUDIENCE = "agentrun"
DEFAULT_SCOPE = "runs:read runs:write"
DEFAULT_LIFETIME_S = 12 * 3600

CLAIMS = {
    "AudienceClaim": "aud",
    "OrgClaim": "org_id",
    "UserClaim": "sub",
    "ScopeClaims": "scope",
    "ScopePrefix": "",
    "DefaultScopes": "",
    "RoleClaims": "roles",
    "AdminRole": "admin",
}
"""The template's parameters that name the claims of these tokens."""

_KEY_FILE = "dev-key.pem"


@dataclass(frozen=True)
class Caller:
    """The user that a token is for; by default one without roles."""

    user: str = "dev"
    org: str = "dev-org"
    scope: str = DEFAULT_SCOPE
    roles: Sequence[str] = field(default=())


class DevIdentity:
    """Signs tokens that a local stack with the same folder accepts."""

    def __init__(self, folder: Path) -> None:
        """Load the key pair from the folder; the first use creates it, readable by its owner."""
        self._key = _load_or_create(folder / _KEY_FILE)
        self._public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        # RFC 7638: the thumbprint is over the required members, sorted, without white space.
        thumbprint = json.dumps(
            {name: self._public[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":")
        )
        digest = hashlib.sha256(thumbprint.encode()).digest()
        self._kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    @property
    def jwks(self) -> str:
        """The public key as a JWKS document (RFC 7517)."""
        key = {**self._public, "kid": self._kid, "alg": "ES256", "use": "sig"}
        return json.dumps({"keys": [key]}, separators=(",", ":"))

    def token(self, caller: Caller | None = None, *, expires_in_s: int = DEFAULT_LIFETIME_S) -> str:
        """
        Sign a JWT.

        Args:
            caller: The user that it is for.
            expires_in_s: Seconds until its `exp`; negative for an expired token.
        """
        caller = caller or Caller()
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": caller.user,
            "org_id": caller.org,
            "scope": caller.scope,
            "iat": now,
            "exp": now + expires_in_s,
        }
        if caller.roles:
            claims["roles"] = list(caller.roles)
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._kid})


def _load_or_create(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no EC key; delete it")
    return key


def _create(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(b"")
    draft.chmod(0o600)
    draft.write_bytes(pem)
    # Two stacks that start at once must use the same key: the first link wins.
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
