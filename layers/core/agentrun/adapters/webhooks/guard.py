"""The port `WebhookGuard`: on public hosts, and where there are no webhooks."""

import asyncio

from agentrun.adapters.webhooks.public_hosts import PublicHosts
from agentrun.domain.errors import InvalidRequestError
from agentrun.domain.ports.webhooks import WebhookGuard
from agentrun.domain.public_urls import UnusableUrlError
from agentrun.settings import Settings

FIELD = "webhook.url"
LOOK_UP_TIMEOUT_S = 5.0
"""The caller waits for it."""


class PublicWebhookGuard:
    """Lets through what leads to public hosts now; the sender looks again at each try."""

    def __init__(self, hosts: PublicHosts, *, timeout_s: float = LOOK_UP_TIMEOUT_S) -> None:
        self._hosts = hosts
        self._timeout_s = timeout_s

    async def check(self, url: str) -> None:
        """Check a URL; see the port."""
        try:
            await asyncio.to_thread(self._hosts.target, url, timeout_s=self._timeout_s)
        except UnusableUrlError as error:
            raise _refused(str(error)) from error


class NoWebhooks:
    """Refuses all webhooks: nothing would sign them."""

    async def check(self, url: str) -> None:  # noqa: ARG002 - the port's
        """Refuse a URL; see the port."""
        raise _refused("is not possible: this deployment has no webhooks (WebhookSecretArn)")


def webhook_guard(settings: Settings) -> WebhookGuard:
    """Return the guard that a deployment, or a laptop, asks for."""
    if not settings.webhooks:
        return NoWebhooks()
    return PublicWebhookGuard(PublicHosts(allows_loopback=settings.webhook_loopback))


def _refused(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"{FIELD} {reason}.", params=[(FIELD, reason)])
