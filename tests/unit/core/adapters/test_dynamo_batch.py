"""BatchGetItem and BatchWriteItem as they really answer: in parts, and never the same key twice."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.connection.client import FIRST_PAUSE_S, LONGEST_S
from agentrun.adapters.dynamo.items import Item, key_at, key_of
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.session_list import DynamoSessionList
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.errors import StoreUnavailableError
from tests.fakes.clock import Elapsing
from tests.runs import a_request, a_run
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class PartialAnswers:
    """Lets BatchGetItem answer so many keys at a time; the rest of them stay unprocessed."""

    def __init__(self, client: "DynamoDBClient", answered: Iterator[int], time: Elapsing) -> None:
        self._answered = answered
        self._time = time
        self._asked: Any = None
        self.call_s = 0.0
        self.asked: list[int] = []
        client.meta.events.register("provide-client-params.dynamodb.BatchGetItem", self._note)
        client.meta.events.register("after-call.dynamodb.BatchGetItem", self._edit)

    def _note(self, params: Any, **_: Any) -> None:
        self._asked = params["RequestItems"][TABLE]
        self.asked.append(len(self._asked["Keys"]))

    def _edit(self, parsed: dict[str, Any], **_: Any) -> None:
        self._time.now_s += self.call_s
        keys = self._asked["Keys"]
        count = min(next(self._answered, len(keys)), len(keys))
        answered, left = keys[:count], keys[count:]
        found = parsed["Responses"].get(TABLE, [])
        parsed["Responses"][TABLE] = [item for item in found if key_of(item) in answered]
        parsed["UnprocessedKeys"] = {TABLE: self._asked | {"Keys": left}} if left else {}


def put(client: "DynamoDBClient", count: int) -> list[Item]:
    keys = [key_at(f"p{number}", "s") for number in range(count)]
    for key in keys:
        client.put_item(TableName=TABLE, Item=key)
    return keys


def table_of(client: "DynamoDBClient", time: Elapsing) -> Table:
    return Table(client, TABLE, sleep=time.sleep, monotonic=time.monotonic)


def test_an_answer_in_parts_is_put_together(client: "DynamoDBClient") -> None:
    time = Elapsing()
    keys = put(client, 100)
    answers = PartialAnswers(client, iter([30, 30, 30]), time)
    read = table_of(client, time).items(keys, consistent=True)
    assert sorted(item["pk"]["S"] for item in read) == sorted(key["pk"]["S"] for key in keys)
    assert answers.asked == [100, 70, 40, 10]


def test_pauses_start_anew_with_progress(
    client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    time = Elapsing()
    keys = put(client, 4)
    PartialAnswers(client, iter([0, 0, 1, 0, 1]), time)
    assert len(table_of(client, time).items(keys, consistent=True)) == 4
    first = FIRST_PAUSE_S
    assert time.sleeps == [first, 2 * first, first, 2 * first, first]


def test_patience_lasts_while_every_call_brings_something(client: "DynamoDBClient") -> None:
    time = Elapsing()
    keys = put(client, 5)
    answers = PartialAnswers(client, iter([1, 1, 1, 1]), time)
    # Longer in all than what is waited for without any progress.
    answers.call_s = 1.1
    assert len(table_of(client, time).items(keys, consistent=True)) == 5
    assert 5.0 < time.now_s < LONGEST_S


def test_patience_ends_without_progress_and_in_all(client: "DynamoDBClient") -> None:
    for answered, longest_s in ((0, 4.0), (1, LONGEST_S)):
        time = Elapsing()
        keys = put(client, 100)
        answers = PartialAnswers(client, iter([answered] * 10_000), time)
        answers.call_s = 0.5
        with pytest.raises(StoreUnavailableError):
            table_of(client, time).items(keys, consistent=True)
        assert longest_s - 1.4 < time.now_s <= longest_s + answers.call_s
        client.meta.events.unregister("after-call.dynamodb.BatchGetItem", answers._edit)


def test_a_key_that_is_there_twice_is_read_once(client: "DynamoDBClient") -> None:
    time = Elapsing()
    keys = put(client, 60)
    answers = PartialAnswers(client, iter(()), time)
    # DynamoDB answers duplicates with a ValidationException, and so does moto.
    assert len(table_of(client, time).items([*keys, *keys], consistent=True)) == 60
    assert answers.asked == [60]


def test_a_key_that_is_there_twice_is_deleted_once(client: "DynamoDBClient") -> None:
    keys = put(client, 20)
    table_of(client, Elapsing()).delete_all([*keys, *keys])
    assert client.scan(TableName=TABLE)["Items"] == []


def test_a_session_that_moves_while_its_page_is_read_is_listed_once(
    client: "DynamoDBClient",
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    for number in range(3):
        store.start(a_run(f"run-{number}", session_id=f"s{number}"), a_request())

    def show_twice(parsed: dict[str, Any], **_: Any) -> None:
        if items := parsed.get("Items"):
            items.append(items[0])
            parsed["Count"] += 1

    client.meta.events.register("after-call.dynamodb.Query", show_twice)
    page = DynamoSessionList(table_of(client, Elapsing()), "acme", "ana").page(
        size=20, skip=0, cursor=None
    )
    assert sorted(session.id for session in page.sessions) == ["s0", "s1", "s2"]
