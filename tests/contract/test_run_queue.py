"""The port `RunQueue` asks for executors, and `HeldMessage` keeps others away for a time."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from agentrun.adapters.sqs.run_message import SqsRunMessage
from agentrun.adapters.sqs.run_queue import SqsRunQueue
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.ports import HeldMessage, RunQueue
from agentrun.domain.runs import RunKey
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.queues import create_queue, received, run_record, sqs_client_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RUN = RunKey(tenant="Łódź & Söhne", run_id="run-1")
Take = Callable[[], RunKey | None]


@pytest.fixture(scope="module")
def sqs(dynamodb_url: str) -> Iterator["SQSClient"]:
    """Return a client of the server that stands for AWS, which serves queues as well."""
    with closing(sqs_client_of(dynamodb_url)) as client:
        yield client


@pytest.fixture
def queue_url(sqs: "SQSClient") -> Iterator[str]:
    url = create_queue(sqs)
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture(params=["in_memory", "sqs"])
def queue_and_take(request: pytest.FixtureRequest) -> tuple[RunQueue, Take]:
    if request.param == "in_memory":
        fake = InMemoryRunQueue()
        return fake, lambda: fake.sent.pop(0)[0] if fake.sent else None
    client: SQSClient = request.getfixturevalue("sqs")
    url: str = request.getfixturevalue("queue_url")

    def take() -> RunKey | None:
        record = received(client, url)
        return SqsRunMessage(lambda: client, url, record).key if record else None

    return SqsRunQueue(lambda: client, url), take


def test_each_message_is_handed_out_once_and_names_its_run(
    queue_and_take: tuple[RunQueue, Take],
) -> None:
    queue, take = queue_and_take
    assert take() is None
    queue.send(RUN)
    assert take() == RUN
    assert take() is None


def test_a_message_can_be_kept_from_others(sqs: "SQSClient", queue_url: str) -> None:
    SqsRunQueue(lambda: sqs, queue_url).send(RUN)
    first = received(sqs, queue_url)
    assert first is not None
    message: HeldMessage = SqsRunMessage(lambda: sqs, queue_url, first)
    assert message.received == 1
    assert message.keep_for(timedelta(seconds=20))
    assert received(sqs, queue_url) is None


def test_a_message_comes_again_when_its_time_is_over(sqs: "SQSClient", queue_url: str) -> None:
    SqsRunQueue(lambda: sqs, queue_url).send(RUN)
    first = received(sqs, queue_url)
    assert first is not None
    # A fraction of a second is a whole one.
    assert SqsRunMessage(lambda: sqs, queue_url, first).keep_for(timedelta(milliseconds=300))
    assert received(sqs, queue_url) is None
    again = received(sqs, queue_url, within_s=5)
    assert again is not None
    assert SqsRunMessage(lambda: sqs, queue_url, again).received == 2


def test_a_message_may_be_let_go_of_at_once(sqs: "SQSClient", queue_url: str) -> None:
    SqsRunQueue(lambda: sqs, queue_url).send(RUN)
    first = received(sqs, queue_url)
    assert first is not None
    assert SqsRunMessage(lambda: sqs, queue_url, first).keep_for(timedelta())
    assert received(sqs, queue_url, within_s=1) is not None


def test_a_message_that_is_gone_is_not_kept(sqs: "SQSClient", queue_url: str) -> None:
    SqsRunQueue(lambda: sqs, queue_url).send(RUN)
    record = received(sqs, queue_url)
    assert record is not None
    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=record["receiptHandle"])
    assert not SqsRunMessage(lambda: sqs, queue_url, record).keep_for(timedelta(seconds=20))


@pytest.mark.parametrize(
    "code",
    ["AWS.SimpleQueueService.MessageNotInflight", "com.amazonaws.sqs#ReceiptHandleIsInvalid"],
)
def test_a_message_that_others_may_have_is_not_kept(
    sqs: "SQSClient", queue_url: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code}}, "ChangeMessageVisibility")

    monkeypatch.setattr(sqs, "change_message_visibility", refuse)
    message = SqsRunMessage(lambda: sqs, queue_url, run_record({"tenant": "t", "runId": "r"}))
    assert not message.keep_for(timedelta(seconds=20))


def test_a_delayed_message_comes_later(sqs: "SQSClient", queue_url: str) -> None:
    SqsRunQueue(lambda: sqs, queue_url).send(RUN, delay=timedelta(milliseconds=10))
    assert received(sqs, queue_url) is None
    assert received(sqs, queue_url, within_s=5) is not None


def test_no_delay_is_longer_than_sqs_takes(
    sqs: "SQSClient", queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = []
    monkeypatch.setattr(sqs, "send_message", lambda **said: delays.append(said["DelaySeconds"]))
    for minutes in (-1, 14, 16):
        SqsRunQueue(lambda: sqs, queue_url).send(RUN, delay=timedelta(minutes=minutes))
    assert delays == [0, 14 * 60, 15 * 60]


def test_a_queue_that_does_not_answer_is_unavailable(sqs: "SQSClient", queue_url: str) -> None:
    nowhere = f"{queue_url}-of-nobody"
    with pytest.raises(StoreUnavailableError):
        SqsRunQueue(lambda: sqs, nowhere).send(RUN)
    record = run_record({"tenant": "t", "runId": "r"})
    with pytest.raises(StoreUnavailableError):
        SqsRunMessage(lambda: sqs, nowhere, record).keep_for(timedelta(seconds=1))


@pytest.mark.parametrize("body", ["", "no json", "[]", "null", '{"tenant": "t"}', '{"runId": 1}'])
def test_a_message_that_names_no_run_is_refused(sqs: "SQSClient", body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        SqsRunMessage(lambda: sqs, "https://queue", run_record(body))
