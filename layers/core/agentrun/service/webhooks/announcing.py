"""Put what webhooks are to be told into the queue, from the changes of the table in their order."""

import logging
from collections.abc import Iterable
from typing import Protocol

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.ports.webhooks import WebhookQueue
from agentrun.domain.webhooks import WebhookDelivery

log = logging.getLogger(__name__)


class UnreadableError(Exception):
    """What was handed over has a form that this version does not know."""


class RunChange(Protocol):
    """A change of a run that has a webhook."""

    @property
    def position(self) -> str:
        """Where it stands in its stream."""
        ...

    @property
    def text(self) -> str:
        """The whole of it, in a form from which it can be read again."""
        ...

    def delivery(self) -> WebhookDelivery | None:
        """
        Return what the webhook is to be told; None if it does not want to know.

        Raises:
            UnreadableError: Retrying is pointless.
            StoreUnavailableError: Retrying is safe.
        """
        ...


def announce(changes: Iterable[RunChange], queue: WebhookQueue) -> str | None:
    """
    Queue a delivery for each change that its webhook wants to know.

    A change that cannot be read is set aside: it blocks nothing behind it, and is not lost.

    Returns:
        The position of the first change that has to come again, with all behind it; None if all are
        queued. Those that come twice are queued twice, under the same ids.
    """
    for change in changes:
        try:
            _announce(change, queue)
        except StoreUnavailableError:
            log.exception("a webhook's event could not be queued; it comes again")
            return change.position
    return None


def _announce(change: RunChange, queue: WebhookQueue) -> None:
    try:
        delivery = change.delivery()
    except UnreadableError:
        log.exception("a run's change cannot be read; it is set aside")
        queue.set_aside(change.text)
        return
    if delivery is not None:
        queue.send(delivery)
