"""How long the table keeps segments, and what moving their expiry on costs."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.items import event_sk, run_pk
from agentrun.adapters.dynamo.table import Table
from tests.runs import AT, a_run, deltas
from tests.tables import TABLE, client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = a_run().key
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST_PAUSE = DAY
LONGEST_RUN = timedelta(minutes=15)


@pytest.fixture
def log(client: "DynamoDBClient") -> DynamoEventLog:
    return DynamoEventLog(Table(client, TABLE), longest_pause=LONGEST_PAUSE)


def calls_of(client: "DynamoDBClient") -> list[str]:
    """Take note of each call from now on."""
    calls: list[str] = []

    def note(model: Any, **_: Any) -> None:
        calls.append(model.name)

    client.meta.events.register("provide-client-params.dynamodb", note)
    return calls


def ids(log: DynamoEventLog, at: datetime) -> list[int]:
    return [event.id for event in log.read(KEY, after=0, at=at)]


@pytest.mark.parametrize("pauses", [1, 2, 5])
def test_all_of_a_run_is_there_for_a_day_after_its_end(log: DynamoEventLog, pauses: int) -> None:
    """Each execution and each pause takes as long as it may."""
    at, last = AT, 0
    for number in range(pauses + 1):
        if number:
            log.keep(KEY, since=AT, at=at)
        log.append(KEY, deltas(last + 1, last + 5), at=at)
        last += 5
        at += LONGEST_RUN + LONGEST_PAUSE
    assert ids(log, at + DAY) == list(range(1, last + 1))


def test_a_run_that_is_continued_within_a_day_costs_no_call(
    client: "DynamoDBClient", log: DynamoEventLog
) -> None:
    log.append(KEY, deltas(1, 5), at=AT)
    calls = calls_of(client)
    log.keep(KEY, since=AT, at=AT + DAY)
    assert calls == []


def test_only_what_would_expire_too_early_is_written_again(
    client: "DynamoDBClient", log: DynamoEventLog
) -> None:
    for day in (0, 0, 1, 2, 3):
        first = 10 * len(ids(log, AT))
        log.append(KEY, deltas(first + 1, first + 10), at=AT + day * DAY)
    calls = calls_of(client)
    log.keep(KEY, since=AT, at=AT + 2 * DAY)
    log.keep(KEY, since=AT, at=AT + 2 * DAY + HOUR)
    assert calls == ["Query", *["UpdateItem"] * 3, "Query"]


def test_what_is_left_of_a_log_is_its_end(client: "DynamoDBClient", log: DynamoEventLog) -> None:
    for hour in range(0, 60, 5):
        log.append(KEY, deltas(hour + 1, hour + 5), at=AT + hour * HOUR)
    log.keep(KEY, since=AT, at=AT + 50 * HOUR)
    for hour in range(50, 200, 3):
        left = ids(log, AT + hour * HOUR)
        assert left == list(range(61 - len(left), 61))


def test_a_segment_that_is_deleted_meanwhile_does_not_come_back(
    client: "DynamoDBClient", log: DynamoEventLog
) -> None:
    log.append(KEY, deltas(1, 5), at=AT)

    def delete(**_: Any) -> None:
        other, sort_key = client_of(), {"S": event_sk(5)}
        other.delete_item(TableName=TABLE, Key={"pk": {"S": run_pk(KEY)}, "sk": sort_key})

    client.meta.events.register("provide-client-params.dynamodb.UpdateItem", delete)
    log.keep(KEY, since=AT, at=AT + 2 * DAY)
    assert client.scan(TableName=TABLE)["Items"] == []


def test_events_are_found_behind_pages_of_expired_ones(
    client: "DynamoDBClient", log: DynamoEventLog
) -> None:
    log.append(KEY, deltas(1, 5), at=AT)
    log.append(KEY, deltas(6, 9), at=AT + 9 * DAY)

    def in_small_pages(params: dict[str, Any], **_: Any) -> None:
        params["Limit"] = 1

    client.meta.events.register("provide-client-params.dynamodb.Query", in_small_pages)
    assert ids(log, AT + 9 * DAY) == [6, 7, 8, 9]
