"""Webhooks without a network: a queue that remembers, and a sender that does as it is told."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.ports.webhooks import WebhookFailedError
from agentrun.domain.webhooks import WebhookDelivery, WebhookSecret


class InMemoryWebhookQueue:
    """The port `WebhookQueue`; while `is_down`, nothing works."""

    def __init__(self) -> None:
        self.sent: list[WebhookDelivery] = []
        self.postponed: list[tuple[str, timedelta]] = []
        self.aside: list[str] = []
        self.is_down = False

    def send(self, delivery: WebhookDelivery) -> None:
        self._check()
        self.sent.append(delivery)

    def postpone(self, receipt: str, pause: timedelta) -> None:
        self._check()
        self.postponed.append((receipt, pause))

    def set_aside(self, message: str) -> None:
        self._check()
        self.aside.append(message)

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("as told")


class ScriptedSender:
    """The port `WebhookSender`: fails as told, then succeeds for ever."""

    def __init__(self, *failures: WebhookFailedError) -> None:
        self._failures = list(failures)
        self.posts: list[tuple[str, Mapping[str, str], bytes]] = []

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        self.posts.append((url, headers, body))
        if self._failures:
            raise self._failures.pop(0)


class ScriptedSecrets:
    """The port `WebhookSecrets` on what it is given; an error is raised."""

    def __init__(self, given: Sequence[WebhookSecret] | Exception) -> None:
        self._given = given

    def current(self) -> Sequence[WebhookSecret]:
        if isinstance(self._given, Exception):
            raise self._given
        return self._given
