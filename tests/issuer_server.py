"""An issuer of tokens on loopback, whose keys come and go."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.http_server import answering, send, served

PATH = "/.well-known/jwks.json"
Answer = Callable[[BaseHTTPRequestHandler], object]


class Issuer:
    """Makes keys, publishes some of them, signs with any; `answer` may be exchanged."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.jwks_url = f"{self.url}{PATH}"
        self.paths: list[str] = []
        self.published: tuple[str, ...] = ()
        self.answer: Answer = self.publish
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def add_key(self, kid: str) -> None:
        """Make a key without publishing it."""
        self._keys[kid] = ec.generate_private_key(ec.SECP256R1())

    @property
    def document(self) -> dict[str, Any]:
        """The public keys that are published, as JWKS."""
        keys = [(kid, self._keys[kid].public_key()) for kid in self.published]
        return {
            "keys": [
                {**json.loads(ECAlgorithm.to_jwk(key)), "kid": kid, "use": "sig", "alg": "ES256"}
                for kid, key in keys
            ]
        }

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.paths.append(handler.path)
        self.answer(handler)

    def publish(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer with the published keys."""
        send(handler, 200, json.dumps(self.document).encode())

    def token(self, kid: str, **changes: Any) -> str:
        """Sign a token for `ana` of `acme` that is good for ten minutes."""
        claims = {
            "iss": self.url,
            "aud": "agentrun",
            "sub": "ana",
            "org_id": "acme",
            "scope": "runs:read runs:write",
            "exp": int(time.time()) + 600,
        }
        key = self._keys[kid]
        return jwt.encode({**claims, **changes}, key, algorithm="ES256", headers={"kid": kid})


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Serve an issuer without keys."""
    with served(answering(lambda asked: issuer.serve(asked))) as url:  # noqa: PLW0108 - made below
        issuer = Issuer(url)
        yield issuer
