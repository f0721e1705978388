"""An HTTP server that verifies and shows the webhooks that it gets."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentrun.domain.webhooks import WebhookSecret, why_not_genuine

MOST_BODY_BYTES = 16 * 1024 * 1024
READ_TIMEOUT_S = 15


@dataclass(frozen=True)
class Arrival:
    """One request: its id, when it came, what is wrong with it, and its body as it came."""

    webhook_id: str
    at: datetime
    fault: str | None
    body: bytes

    def shown(self) -> str:
        """Write it for a terminal: a line that says what came, then the body."""
        said = self._json()
        event = said.get("type") if isinstance(said, dict) else None
        verdict = f"NOT VERIFIED: {self.fault}" if self.fault else "verified"
        head = f"{self.at:%H:%M:%S} {event or 'no event'} {self.webhook_id or 'no id'} {verdict}"
        body = repr(self.body) if said is None else json.dumps(said, indent=2, ensure_ascii=False)
        return _printable(f"{head}\n{body}")

    def as_json(self) -> str:
        """Write it as one line for other programs."""
        told = {"id": self.webhook_id, "verified": self.fault is None, "fault": self.fault}
        return json.dumps({**told, "body": self._json()})

    def _json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def receiver(
    port: int, secret: WebhookSecret, arrived: Callable[[Arrival], None]
) -> ThreadingHTTPServer:
    """
    Return a server on this machine that answers 204 to what verifies, and 401 to the rest.

    Args:
        port: Where to listen; 0 takes any free one.
        secret: Of the sender.
        arrived: Told of every POST, before it is answered; from any thread.

    Raises:
        OSError: The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_TIMEOUT_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit()):
                self._answer(411)
            elif int(length) > MOST_BODY_BYTES:
                self._answer(413)
            else:
                arrival = self._arrival(self.rfile.read(int(length)))
                arrived(arrival)
                self._answer(401 if arrival.fault else 204)

        def _arrival(self, body: bytes) -> Arrival:
            headers = {name.lower(): value for name, value in self.headers.items()}
            now = datetime.now(UTC)
            fault = why_not_genuine(headers, body, secret, at=now)
            return Arrival(headers.get("webhook-id", ""), now.astimezone(), fault, body)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing: what arrives is shown already."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def _printable(text: str) -> str:
    """Write what would command a terminal as escapes."""
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in text
    )
