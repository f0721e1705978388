"""Queues and streams of the local stack reach functions as Lambda's mappings make them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrun_local.machine.queues_and_buckets import local_client
from tests.e2e.conftest import LocalStack, running_stack, wait_until

APPLICATION = Path(__file__).parent / "event_sources"
JOBS, DEAD_JOBS, BATCHES = (
    f"https://sqs.eu-west-1.amazonaws.com/123456789012/agentrun-{name}"
    for name in ("Jobs", "DeadJobs", "Batches")
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    scratch = tmp_path_factory.mktemp("event_sources")
    ignored = shutil.ignore_patterns("__pycache__")
    folder = shutil.copytree(APPLICATION, scratch / "application", ignore=ignored)
    with running_stack(folder / "template.yaml", scratch) as stack:
        yield stack


@pytest.fixture(scope="module")
def sqs(stack: LocalStack) -> Iterator[Any]:
    client = local_client("sqs", stack.queues)
    yield client
    client.close()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def lines(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []


def begun(trace: Path) -> list[dict[str, Any]]:
    """Return the messages that functions have got, in order."""
    return [line["record"] for line in lines(trace) if "begun" in line]


def send(sqs: Any, trace: Path, url: str = JOBS, **order: Any) -> str:
    body = json.dumps({"trace": str(trace), **order})
    message_id: str = sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"]
    return message_id


def left_in(sqs: Any, url: str) -> int:
    """Count a queue's messages, those included that somebody has."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_a_message_is_an_event_as_lambda_writes_it_and_is_then_gone(sqs: Any, trace: Path) -> None:
    message_id = send(sqs, trace, text="Łódź")
    wait_until(lambda: left_in(sqs, JOBS) == 0, "the message is deleted")
    (record,) = begun(trace)
    assert set(record) == {
        *("messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody"),
        *("eventSource", "eventSourceARN", "awsRegion"),
    }
    assert record["messageId"] == message_id
    assert json.loads(record["body"])["text"] == "Łódź"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(
        record["attributes"]
    )
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:eu-west-1:123456789012:agentrun-Jobs"
    assert record["awsRegion"] == "eu-west-1"


@pytest.mark.parametrize("how", ["exit", "hang", "raise", "fail"])
def test_a_message_that_is_not_worked_off_comes_again_and_is_then_a_dead_letter(
    sqs: Any, trace: Path, how: str
) -> None:
    """Whether its process dies, takes too long, raises, or names it: it was tried twice."""
    message_id = send(sqs, trace, do=how)
    wait_until(lambda: left_in(sqs, DEAD_JOBS) == 1, "a dead letter")
    counts = [record["attributes"]["ApproximateReceiveCount"] for record in begun(trace)]
    assert counts == ["1", "2"]
    (letter,) = sqs.receive_message(QueueUrl=DEAD_JOBS)["Messages"]
    sqs.delete_message(QueueUrl=DEAD_JOBS, ReceiptHandle=letter["ReceiptHandle"])
    assert letter["MessageId"] == message_id
    assert left_in(sqs, JOBS) == 0


@pytest.mark.parametrize(
    "answer",
    [{"batchItemFailures": [{"id": "x"}]}, {"batchItemFailures": [{"itemIdentifier": ""}]}],
)
def test_an_answer_that_names_nothing_known_fails_the_batch(
    sqs: Any, trace: Path, answer: Any
) -> None:
    send(sqs, trace, do="answer", **{"with": answer})
    wait_until(lambda: len(begun(trace)) == 2, "the message comes again")


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}])
def test_an_answer_without_failures_is_success(sqs: Any, trace: Path, answer: Any) -> None:
    send(sqs, trace, do="answer", **{"with": answer})
    wait_until(lambda: bool(begun(trace)) and left_in(sqs, JOBS) == 0, "the message is deleted")
    assert len(begun(trace)) == 1


def test_no_more_functions_run_at_once_than_the_mapping_allows(sqs: Any, trace: Path) -> None:
    for _ in range(6):
        send(sqs, trace, do="linger")
    wait_until(lambda: sum("ended" in line for line in lines(trace)) == 6, "all are done")
    at_once, most = 0, 0
    for line in lines(trace):
        at_once += 1 if "begun" in line else -1
        most = max(most, at_once)
    assert most == 2


def test_without_reports_a_batch_succeeds_or_fails_as_one(sqs: Any, trace: Path) -> None:
    send(sqs, trace, BATCHES, kind="job", do="fail")
    wait_until(lambda: bool(begun(trace)) and left_in(sqs, BATCHES) == 0, "it is deleted")
    assert len(begun(trace)) == 1


def test_a_batch_holds_several_messages(sqs: Any, trace: Path) -> None:
    entries = [
        {"Id": str(n), "MessageBody": json.dumps({"trace": str(trace), "kind": "job"})}
        for n in range(10)
    ]
    sqs.send_message_batch(QueueUrl=BATCHES, Entries=entries)
    wait_until(lambda: len(begun(trace)) == 10, "all have come")
    assert max(line["batch"] for line in lines(trace) if "begun" in line) > 1


def test_what_the_filter_keeps_out_is_deleted_unseen(sqs: Any, trace: Path) -> None:
    send(sqs, trace, BATCHES, kind="other")
    send(sqs, trace, BATCHES, kind="job")
    wait_until(lambda: bool(begun(trace)) and left_in(sqs, BATCHES) == 0, "both are deleted")
    assert len(begun(trace)) == 1


@pytest.fixture
def write(stack: LocalStack, trace: Path) -> Iterator[Any]:
    client = local_client("dynamodb", stack.dynamodb)

    def put(pk: str, state: str = "done", **more: Any) -> None:
        item = {"pk": {"S": pk}, "state": {"S": state}, "trace": {"S": str(trace)}, **more}
        client.put_item(TableName="agentrun-Notes", Item=item)

    yield put
    client.close()


def keys(trace: Path) -> list[str]:
    return [line["dynamodb"]["Keys"]["pk"]["S"] for line in lines(trace)]


def test_a_write_to_the_table_is_an_event_as_lambda_writes_it(write: Any, trace: Path) -> None:
    write("a", blob={"B": b"\xff\x00"}, number={"N": "1"})
    wait_until(lambda: len(lines(trace)) == 1, "the record has come")
    (record,) = lines(trace)
    assert record["eventName"] == "INSERT"
    assert record["eventSource"] == "aws:dynamodb"
    assert record["awsRegion"] == "eu-west-1"
    assert record["eventSourceARN"].startswith(
        "arn:aws:dynamodb:eu-west-1:123456789012:table/agentrun-Notes/stream/"
    )
    said = record["dynamodb"]
    assert said["NewImage"]["blob"] == {"B": "/wA="}
    assert said["NewImage"]["number"] == {"N": "1"}
    assert isinstance(said["ApproximateCreationDateTime"], int)
    assert said["StreamViewType"] == "NEW_IMAGE"


def test_only_records_that_match_reach_the_function_and_in_order(write: Any, trace: Path) -> None:
    for number in range(12):
        write(f"{trace.parent.name}-{number}", state="done" if number % 2 else "begun")
    wait_until(lambda: len(lines(trace)) == 6, "all have come")
    assert [key.rpartition("-")[2] for key in keys(trace)] == ["1", "3", "5", "7", "9", "11"]


def test_a_record_that_fails_is_tried_again_then_dropped_and_others_follow(
    write: Any, trace: Path
) -> None:
    write("before")
    write("broken", broken={"BOOL": True})
    wait_until(lambda: "broken" in keys(trace), "the broken one has come")
    write("after")
    wait_until(lambda: "after" in keys(trace), "the next one has come")
    told = keys(trace)
    assert told.count("broken") == 2
    assert told.index("before") < told.index("broken")
    assert told[-1] == "after"
