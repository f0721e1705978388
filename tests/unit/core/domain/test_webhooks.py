"""What receivers are told, under which id, and how it is signed: by others' implementations."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from openai import InvalidWebhookSignatureError, OpenAI

from agentrun.domain.requests import WEBHOOK_EVENTS, Webhook
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.webhooks import (
    MOST_TRIES,
    PAUSES,
    WebhookDelivery,
    WebhookSecret,
    WebhookSecretError,
    delivery_of,
    pause_after,
    signed_headers,
    why_not_genuine,
)
from agentrun.http.bodies import run_body
from tests.runs import AT, a_run, paused

URL = "https://receiver.example/hook"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + b64encode(b"another key of 32 bytes in all..").decode()
KEYS = st.binary(min_size=24, max_size=64)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def ended(status: RunStatus = RunStatus.COMPLETED, **changes: Any) -> AgentRun:
    return a_run(status=status, version=2, lease=None, output="hi", **changes)


def told(run: AgentRun, *events: Any) -> WebhookDelivery | None:
    return delivery_of(run, Webhook(url=URL, events=events or WEBHOOK_EVENTS), run_body)


def delivered(run: AgentRun) -> WebhookDelivery:
    delivery = told(run)
    assert delivery is not None
    return delivery


OPENAI = OpenAI(api_key="unused")


def openai_accepts(secret: str, body: str, headers: dict[str, str]) -> bool:
    try:
        OPENAI.webhooks.verify_signature(body, headers, secret=secret)
    except InvalidWebhookSignatureError:
        return False
    return True


def standard_accepts(secret: str, body: str, headers: dict[str, str]) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(body, headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


ACCEPTING = (openai_accepts, standard_accepts)


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (RunStatus.COMPLETED, "run.completed"),
        (RunStatus.FAILED, "run.failed"),
        (RunStatus.CANCELLED, "run.cancelled"),
        (RunStatus.PAUSED, "run.paused"),
    ],
)
def test_every_end_and_pause_has_its_event(status: RunStatus, event: Any) -> None:
    run = ended(status)
    assert delivered(run).type == event
    assert told(run, event) == delivered(run)
    others = set(WEBHOOK_EVENTS) - {event}
    assert told(run, *others) is None


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_nobody_is_told_of_a_run_under_way(status: RunStatus) -> None:
    assert told(a_run(status=status)) is None


def test_the_body_is_the_event_its_time_and_the_run_as_in_a_batch() -> None:
    run = ended(updated_at=AT + timedelta(seconds=1)).with_previews()
    body = json.loads(delivered(run).body)
    assert body == {
        "type": "run.completed",
        "timestamp": "2026-01-02T03:04:06.678Z",
        "data": run_body(run),
    }
    assert body["data"]["output"] == "hi"
    assert "webhook" not in body["data"]


def test_a_pause_says_what_the_run_waits_for() -> None:
    run = ended(RunStatus.PAUSED, required_action=paused().required_action)
    assert json.loads(delivered(run).body)["data"]["requiredAction"]["toolName"] == "place_order"


def test_the_id_is_that_of_the_change_and_of_no_other() -> None:
    run = ended()
    assert delivered(run).id == delivered(run).id == "run-1_2"
    assert delivered(a_run("run-2", status=RunStatus.COMPLETED, version=2)).id == "run-2_2"
    assert delivered(a_run(status=RunStatus.COMPLETED, version=4)).id == "run-1_4"


def test_a_published_vector_is_signed_as_published() -> None:
    # Of the reference libraries' own tests.
    signature = WebhookSecret.read(SECRET).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(key=KEYS, output=TEXTS, user=TEXTS.filter(str.strip))
def test_whatever_is_told_others_verify(key: bytes, output: str, user: str) -> None:
    secret = "whsec_" + b64encode(key).decode()
    delivery = delivered(ended(user_id=user).with_texts(input="?", output=output))
    at = datetime.now(UTC)
    headers = signed_headers(delivery, [WebhookSecret.read(secret)], at=at)
    assert all(accepts(secret, delivery.body, headers) for accepts in ACCEPTING)
    forged = delivery.body.replace('"run.', '"sun.')
    assert not any(accepts(secret, forged, headers) for accepts in ACCEPTING)
    body = delivery.body.encode()
    assert why_not_genuine(headers, body, WebhookSecret.read(secret), at=at) is None
    assert why_not_genuine(headers, forged.encode(), WebhookSecret.read(secret), at=at)


def test_while_secrets_are_rotated_both_verify() -> None:
    delivery, secrets = delivered(ended()), [SECRET, OTHER]
    signing = [WebhookSecret.read(secret) for secret in secrets]
    headers = signed_headers(delivery, signing, at=datetime.now(UTC))
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in secrets:
        assert all(accepts(secret, delivery.body, headers) for accepts in ACCEPTING)
    stranger = "whsec_" + b64encode(b"x" * 32).decode()
    assert not any(accepts(stranger, delivery.body, headers) for accepts in ACCEPTING)


def test_a_try_is_signed_for_its_own_time() -> None:
    """Receivers refuse what is older than five minutes; a day of tries is older than that."""
    delivery, secret = delivered(ended()), WebhookSecret.read(SECRET)
    first = signed_headers(delivery, [secret], at=AT)
    later = signed_headers(delivery, [secret], at=AT + timedelta(hours=5))
    assert first["webhook-id"] == later["webhook-id"]
    assert int(later["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 5 * 3600
    body = delivery.body.encode()
    assert why_not_genuine(later, body, secret, at=AT + timedelta(hours=5)) is None
    assert why_not_genuine(first, body, secret, at=AT + timedelta(hours=5))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": ""},
        {"webhook-id": "a", "webhook-timestamp": "²", "webhook-signature": "v1,x"},
        {"webhook-id": "a", "webhook-timestamp": "9" * 40, "webhook-signature": "v1,x"},
        {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,é v2,x"},
    ],
)
def test_what_nobody_signed_is_not_genuine(headers: dict[str, str]) -> None:
    assert why_not_genuine(headers, b"{}", WebhookSecret.read(SECRET), at=AT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET.removeprefix("whsec_"),
        "whsec_",
        "whsec_é",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_" + b64encode(b"x" * 23).decode(),
        "whsec_" + b64encode(b"x" * 65).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
    ],
)
def test_a_secret_of_another_form_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(WebhookSecretError) as refused:
        WebhookSecret.read(text)
    assert text[6:] not in str(refused.value) or not text[6:]


def test_tries_go_on_for_a_day_with_growing_pauses() -> None:
    assert PAUSES[0] == timedelta(seconds=5)
    assert sorted(set(PAUSES)) == list(PAUSES)
    # ChangeMessageVisibility takes 12 hours, which count from when the try began.
    assert PAUSES[-1] <= timedelta(hours=12) - timedelta(minutes=1)
    assert timedelta(hours=24) <= sum(PAUSES, timedelta()) <= timedelta(hours=26)
    assert [pause_after(tries) for tries in range(1, MOST_TRIES)] == list(PAUSES)
    assert pause_after(MOST_TRIES) is pause_after(MOST_TRIES + 1) is None
