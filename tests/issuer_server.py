"""An issuer of tokens on loopback, whose keys come and go."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

PATH = "/.well-known/jwks.json"
Answer = Callable[[BaseHTTPRequestHandler], object]


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer with a whole response."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


class Issuer:
    """Makes keys, publishes some of them, signs with any; `answer` may be exchanged."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.paths.append(self.path)
            issuer.answer(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        issuer = Issuer(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
