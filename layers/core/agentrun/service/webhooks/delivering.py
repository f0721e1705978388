"""Deliver what is queued: sign it, post it, and decide what becomes of it if that fails."""

import logging
from contextlib import suppress
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.ports.clock import Clock
from agentrun.domain.ports.webhooks import (
    WebhookFailedError,
    WebhookQueue,
    WebhookSecrets,
    WebhookSender,
)
from agentrun.domain.webhooks import (
    WebhookDelivery,
    WebhookSecretError,
    pause_after,
    signed_headers,
)
from agentrun.service.webhooks.announcing import UnreadableError

log = logging.getLogger(__name__)


class QueuedDelivery(Protocol):
    """A message of the queue, as it was handed out."""

    @property
    def text(self) -> str:
        """The whole message."""
        ...

    @property
    def receipt(self) -> str:
        """By what the queue knows this time that it was handed out."""
        ...

    @property
    def tries(self) -> int:
        """How often it was handed out, this time included."""
        ...

    def delivery(self) -> WebhookDelivery | None:
        """
        Return what is to be delivered; None if there is nothing to deliver.

        Raises:
            UnreadableError: Retrying is pointless.
            StoreUnavailableError: Retrying is safe.
        """
        ...


class Deliverer:
    """
    Makes one try after the other, in whatever process and thread each comes up.

    Args:
        sender: Posts.
        secrets: Sign.
        queue: Where the messages come from.
        clock: Tells the time.
    """

    def __init__(
        self, sender: WebhookSender, secrets: WebhookSecrets, queue: WebhookQueue, clock: Clock
    ) -> None:
        self._sender = sender
        self._secrets = secrets
        self._queue = queue
        self._clock = clock

    def deliver(self, message: QueuedDelivery) -> bool:
        """
        Try to deliver a message.

        Returns:
            Whether the queue may forget it: it was delivered, or set aside. Else it comes again
            after the pause that follows this try, or after the last one is set aside by the queue.

        Raises:
            StoreUnavailableError: It comes again some time.
        """
        try:
            delivery = message.delivery()
        except UnreadableError:
            log.exception("a webhook's message cannot be read; it is set aside")
            self._queue.set_aside(message.text)
            return True
        if delivery is None:
            return True
        try:
            self._post(delivery)
        except WebhookFailedError as failed:
            return self._after_failure(message, delivery, str(failed), is_final=failed.is_final)
        except (StoreUnavailableError, WebhookSecretError) as failed:
            return self._after_failure(message, delivery, f"no secret: {failed}", is_final=False)
        log.info("webhook delivered", extra=_named(delivery, message))
        return True

    def _post(self, delivery: WebhookDelivery) -> None:
        headers = signed_headers(delivery, self._secrets.current(), at=self._clock.now())
        self._sender.post(delivery.url, headers, delivery.body.encode())

    def _after_failure(
        self, message: QueuedDelivery, delivery: WebhookDelivery, reason: str, *, is_final: bool
    ) -> bool:
        pause = None if is_final else pause_after(message.tries)
        extra = _named(delivery, message) | {"reason": reason}
        if pause is None:
            log.error("webhook given up; its message is set aside", extra=extra)
        else:
            extra["nextTryInS"] = int(pause.total_seconds())
            log.warning("webhook not delivered; it is tried again", extra=extra)
        if is_final:
            self._queue.set_aside(message.text)
            return True
        # If the queue does not hear of it, the message comes when its ordinary time is over.
        with suppress(StoreUnavailableError):
            self._queue.postpone(message.receipt, pause or timedelta())
        return False


def _named(delivery: WebhookDelivery, message: QueuedDelivery) -> dict[str, object]:
    # A URL's path and query may be as good as a password.
    return {
        "runId": delivery.run_id,
        "webhookId": delivery.id,
        "event": delivery.type,
        "host": urlsplit(delivery.url).hostname,
        "try": message.tries,
    }
