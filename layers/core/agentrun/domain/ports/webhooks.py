"""The ports for webhooks: whom to tell, with what secret, by which queue."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from agentrun.domain.webhooks import WebhookDelivery, WebhookSecret


class WebhookGuard(Protocol):
    """Decides which URLs may be told of runs."""

    async def check(self, url: str) -> None:
        """
        Check a URL and all addresses that its host has at the moment.

        Raises:
            InvalidRequestError: It is not one of a public host, or there are no webhooks here.
                Names the field `webhook.url`.
        """
        ...


class WebhookFailedError(Exception):
    """
    A receiver was not told; `str()` of it says why, without the URL's path or query.

    `is_final` says that it wants to hear no more.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class WebhookSender(Protocol):
    """Tells receivers; its methods block."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """
        Post a body to a URL whose host is public at this moment.

        Raises:
            WebhookFailedError: There was no whole answer of success in time; the receiver may have
                got it nevertheless.
        """
        ...


class WebhookSecrets(Protocol):
    """Knows the secrets that receivers share; its methods block."""

    def current(self) -> Sequence[WebhookSecret]:
        """
        Return the secrets that sign at the moment, at least one, the newest first.

        Raises:
            StoreUnavailableError: They cannot be read; retrying is safe.
            WebhookSecretError: One has the wrong form.
        """
        ...


class WebhookQueue(Protocol):
    """Keeps deliveries until they are made; its methods block, and retrying them is safe."""

    def send(self, delivery: WebhookDelivery) -> None:
        """
        Add a delivery; it is handed out at least once.

        Raises:
            StoreUnavailableError: The queue is not available.
        """
        ...

    def postpone(self, receipt: str, pause: timedelta) -> None:
        """
        Hand the delivery that was received with `receipt` out again after a pause.

        Raises:
            StoreUnavailableError: The queue is not available; it is handed out again some time.
        """
        ...

    def set_aside(self, message: str) -> None:
        """
        Add a message to those that are not handed out until somebody sends them again.

        Raises:
            StoreUnavailableError: The queue is not available.
        """
        ...
