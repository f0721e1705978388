"""
Webhooks: of which event a run's state tells, what is sent, how it is signed, when it is sent again.

Source of ids, headers, signatures and secrets: the Standard Webhooks specification, version 1.
"""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json

from agentrun.domain.requests import Webhook, WebhookEvent
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.value import Value, iso_milliseconds

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64
"""How long a key is, decoded ("Signature scheme" in the specification)."""
TOLERANCE = timedelta(minutes=5)
"""How far a receiver's clock may be from `webhook-timestamp`; the reference libraries' choice."""

PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=6),
    timedelta(hours=11),
)
"""
After which failed try how long a delivery waits: a day in all.

SQS keeps no message longer than 12 hours from one receiver (ChangeMessageVisibility API reference).
There is no jitter: tries begin when runs end, which are spread already.
"""
MOST_TRIES = len(PAUSES) + 1
"""The template's `maxReceiveCount` says the same."""

_EVENT_OF: dict[RunStatus, WebhookEvent] = {
    RunStatus.COMPLETED: "run.completed",
    RunStatus.FAILED: "run.failed",
    RunStatus.CANCELLED: "run.cancelled",
    RunStatus.PAUSED: "run.paused",
}


class WebhookSecretError(Exception):
    """A secret has the wrong form; the message does not quote it."""


class WebhookDelivery(Value):
    """One event on its way to one receiver; each try sends the same body under the same id."""

    id: str
    type: WebhookEvent
    run_id: str
    url: str
    body: str


@dataclass(frozen=True)
class WebhookSecret:
    """A key that a receiver shares."""

    key: bytes

    @classmethod
    def read(cls, text: str) -> "WebhookSecret":
        """
        Read `whsec_` and the base64 of 24 to 64 bytes.

        The prefix is required: without it some verifiers take the text itself for the key, and
        others what it decodes to.

        Raises:
            WebhookSecretError: It is something else.
        """
        prefix, encoded = text[: len(SECRET_PREFIX)], text[len(SECRET_PREFIX) :]
        if prefix != SECRET_PREFIX:
            raise WebhookSecretError(f"a webhook secret begins with {SECRET_PREFIX}")
        try:
            key = b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise WebhookSecretError(
                f"a webhook secret is base64 after its {SECRET_PREFIX}"
            ) from None
        if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
            allowed = f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
            raise WebhookSecretError(f"a webhook secret has {allowed}, not {len(key)}")
        return cls(key)

    def sign(self, webhook_id: str, timestamp: int, body: bytes) -> str:
        """Sign a message; `timestamp` is in seconds since the Unix epoch."""
        content = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
        return f"v1,{b64encode(hmac.digest(self.key, content, 'sha256')).decode()}"


def delivery_of(
    run: AgentRun, webhook: Webhook, run_body: Callable[[AgentRun], Mapping[str, Any]]
) -> WebhookDelivery | None:
    """
    Return what a webhook is to be told of a run as it is; None if that is not among its events.

    Args:
        run: The run, its texts cut as in a batch.
        webhook: Who wants to know what.
        run_body: Writes a run as the API's answers do.
    """
    event = _EVENT_OF.get(run.status)
    if event is None or event not in webhook.events:
        return None
    body = {"type": event, "timestamp": iso_milliseconds(run.updated_at), "data": run_body(run)}
    return WebhookDelivery(
        id=webhook_id(run), type=event, run_id=run.id, url=webhook.url, body=to_json(body).decode()
    )


def webhook_id(run: AgentRun) -> str:
    """
    Return the id of a run's latest change of status.

    It is the same each time that it is made; no full stop is in it, since signatures
    separate by one.
    """
    return f"{run.id}_{run.version}"


def signed_headers(
    delivery: WebhookDelivery, secrets: Sequence[WebhookSecret], *, at: datetime
) -> dict[str, str]:
    """Return the headers of a try: one signature for each secret, the newest first."""
    timestamp, body = int(at.timestamp()), delivery.body.encode()
    signatures = (secret.sign(delivery.id, timestamp, body) for secret in secrets)
    return {
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def why_not_genuine(
    headers: Mapping[str, str], body: bytes, secret: WebhookSecret, *, at: datetime
) -> str | None:
    """
    Verify what a receiver got.

    Args:
        headers: By their names in lower case.
        body: The bytes as they came.
        secret: The receiver's.
        at: Now.

    Returns:
        What is wrong, or None.
    """
    named = [
        headers.get(f"webhook-{name}", "").strip() for name in ("id", "timestamp", "signature")
    ]
    webhook_id, timestamp, signatures = named
    if not all(named):
        return "a header is missing of webhook-id, webhook-timestamp and webhook-signature"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "webhook-timestamp is not in seconds since the Unix epoch"
    expected = secret.sign(webhook_id, int(timestamp), body).encode()
    if not any(hmac.compare_digest(expected, given.encode()) for given in signatures.split(" ")):
        return "no signature is of this secret"
    if abs(int(timestamp) - at.timestamp()) > TOLERANCE.total_seconds():
        return "webhook-timestamp is more than five minutes from now"
    return None


def pause_after(tries: int) -> timedelta | None:
    """Return how long a delivery waits that has failed this often; None: it was the last try."""
    return PAUSES[tries - 1] if tries <= len(PAUSES) else None
