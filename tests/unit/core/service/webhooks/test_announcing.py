"""What the table's stream tells is queued, in its order, and nothing of it is lost."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.webhooks import WebhookDelivery
from agentrun.service.webhooks.announcing import UnreadableError, announce
from tests.fakes.webhooks import InMemoryWebhookQueue


def delivery(run_id: str) -> WebhookDelivery:
    return WebhookDelivery(
        id=f"{run_id}_2", type="run.completed", run_id=run_id, url="https://a.example", body="{}"
    )


@dataclass(frozen=True)
class Change:
    """A change that reads as told."""

    position: str
    found: WebhookDelivery | Exception | None

    @property
    def text(self) -> str:
        return f"the change {self.position}"

    def delivery(self) -> WebhookDelivery | None:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def announced(*found: WebhookDelivery | Exception | None) -> tuple[str | None, Sequence[str]]:
    queue = InMemoryWebhookQueue()
    changes = [Change(str(place), one) for place, one in enumerate(found)]
    failed = announce(changes, queue)
    assert queue.aside == [
        change.text for change in changes if isinstance(change.found, UnreadableError)
    ]
    return failed, [sent.run_id for sent in queue.sent]


def test_what_webhooks_want_to_know_is_queued_in_order() -> None:
    assert announced(delivery("a"), None, delivery("b")) == (None, ["a", "b"])


def test_what_cannot_be_read_is_set_aside_and_blocks_nothing() -> None:
    assert announced(UnreadableError("?"), delivery("b")) == (None, ["b"])


def test_what_fails_comes_again_with_all_behind_it() -> None:
    unavailable = StoreUnavailableError("busy")
    assert announced(delivery("a"), unavailable, delivery("c")) == ("1", ["a"])


@pytest.mark.parametrize("found", [delivery("a"), UnreadableError("?")])
def test_nothing_is_done_with_while_the_queue_is_down(found: WebhookDelivery | Exception) -> None:
    queue = InMemoryWebhookQueue()
    queue.is_down = True
    assert announce([Change("7", found)], queue) == "7"


def test_a_change_that_comes_twice_is_queued_under_the_same_id() -> None:
    queue = InMemoryWebhookQueue()
    for _ in range(2):
        announce([Change("7", delivery("a"))], queue)
    assert len(queue.sent) == 2
    assert queue.sent[0] == queue.sent[1]
