"""A try delivers, or says when the next one comes, or sets the message aside."""

import logging
from dataclasses import dataclass
from datetime import timedelta

import pytest

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.ports.webhooks import WebhookFailedError
from agentrun.domain.webhooks import (
    MOST_TRIES,
    PAUSES,
    WebhookDelivery,
    WebhookSecret,
    WebhookSecretError,
    why_not_genuine,
)
from agentrun.service.webhooks.announcing import UnreadableError
from agentrun.service.webhooks.delivering import Deliverer
from tests.fakes.clock import FixedClock
from tests.fakes.webhooks import InMemoryWebhookQueue, ScriptedSecrets, ScriptedSender

SECRET = WebhookSecret(b"k" * 32)
URL = "https://receiver.example/hook?token=hidden"
DELIVERY = WebhookDelivery(
    id="run-1_2", type="run.completed", run_id="run-1", url=URL, body='{"type":"run.completed"}'
)
FAILED, GONE = WebhookFailedError("answered 500"), WebhookFailedError("answered 410", is_final=True)


@dataclass(frozen=True)
class Message:
    """A message that reads as told."""

    found: WebhookDelivery | Exception | None = DELIVERY
    tries: int = 1
    text: str = "the message"
    receipt: str = "receipt"

    def delivery(self) -> WebhookDelivery | None:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Rig:
    """A deliverer and what it is made of."""

    def __init__(
        self, *failures: WebhookFailedError, secrets: list[WebhookSecret] | Exception | None = None
    ) -> None:
        self.queue, self.clock = InMemoryWebhookQueue(), FixedClock()
        self.sender = ScriptedSender(*failures)
        given = ScriptedSecrets([SECRET] if secrets is None else secrets)
        self.deliverer = Deliverer(self.sender, given, self.queue, self.clock)


def test_a_delivery_is_posted_as_it_is_queued_and_signed_now() -> None:
    rig = Rig()
    assert rig.deliverer.deliver(Message())
    ((url, headers, body),) = rig.sender.posts
    assert (url, body) == (URL, DELIVERY.body.encode())
    assert headers["webhook-id"] == DELIVERY.id
    assert why_not_genuine(headers, body, SECRET, at=rig.clock.now()) is None
    assert rig.queue.postponed == []
    assert rig.queue.aside == []


@pytest.mark.parametrize("tries", range(1, MOST_TRIES))
def test_after_a_failure_it_comes_again_when_its_pause_is_over(tries: int) -> None:
    rig = Rig(FAILED)
    assert not rig.deliverer.deliver(Message(tries=tries))
    assert rig.queue.postponed == [("receipt", PAUSES[tries - 1])]
    assert rig.queue.aside == []


@pytest.mark.parametrize("tries", [MOST_TRIES, MOST_TRIES + 1])
def test_after_the_last_try_the_queue_gets_it_back_at_once(tries: int) -> None:
    """It has been received as often as it may, so SQS makes a dead letter of it."""
    rig = Rig(FAILED)
    assert not rig.deliverer.deliver(Message(tries=tries))
    assert rig.queue.postponed == [("receipt", timedelta())]


def test_a_receiver_that_wants_no_more_gets_no_more() -> None:
    rig = Rig(GONE)
    assert rig.deliverer.deliver(Message())
    assert (rig.queue.aside, rig.queue.postponed) == (["the message"], [])


@pytest.mark.parametrize(
    "secrets", [StoreUnavailableError("busy"), WebhookSecretError("wrong form")]
)
def test_nothing_is_sent_unsigned(secrets: Exception) -> None:
    rig = Rig(secrets=secrets)
    assert not rig.deliverer.deliver(Message())
    assert rig.sender.posts == []
    assert rig.queue.postponed == [("receipt", PAUSES[0])]


def test_what_cannot_be_read_is_set_aside() -> None:
    rig = Rig()
    assert rig.deliverer.deliver(Message(found=UnreadableError("?")))
    assert (rig.queue.aside, rig.sender.posts) == (["the message"], [])


def test_a_message_with_nothing_to_tell_is_done_with() -> None:
    rig = Rig()
    assert rig.deliverer.deliver(Message(found=None))
    assert (rig.queue.aside, rig.sender.posts) == ([], [])


@pytest.mark.parametrize("message", [Message(found=UnreadableError("?")), Message()])
def test_nothing_is_forgotten_while_the_queue_is_down(message: Message) -> None:
    rig = Rig(GONE)
    rig.queue.is_down = True
    with pytest.raises(StoreUnavailableError):
        rig.deliverer.deliver(message)


def test_a_failure_that_the_queue_does_not_hear_of_is_still_one() -> None:
    rig = Rig(FAILED)
    rig.queue.is_down = True
    assert not rig.deliverer.deliver(Message())


def test_the_log_names_the_host_and_not_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="agentrun")
    logging.getLogger("agentrun").propagate = True
    rig = Rig(FAILED)
    rig.deliverer.deliver(Message())
    rig.deliverer.deliver(Message(tries=2))
    said = [vars(record) for record in caplog.records]
    assert [(one["host"], one["try"]) for one in said] == [("receiver.example", n) for n in (1, 2)]
    assert (said[0]["reason"], said[0]["nextTryInS"]) == ("answered 500", 5)
    assert "hidden" not in str(said)
