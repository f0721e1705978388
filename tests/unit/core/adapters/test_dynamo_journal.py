"""The journal on DynamoDB: lost replies, what lies in the table, headers of earlier versions."""

import zlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.items import MOST_ITEM_BYTES, header_key, step_sk
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.run_writes import RUNNING_HEADER_BYTES
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.errors import EngineError, FencedError, StoreUnavailableError
from agentrun.domain.runs import EVENT_ID_GAP, Lease
from agentrun.domain.steps import Answered, Step
from bench.capacity_units import item_bytes
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.runs import AT, EXECUTOR, USED, a_request, a_run, deltas
from tests.tables import TABLE
from tests.unit.core.adapters.test_dynamo_lost_replies import lose_next_reply

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = AT + timedelta(seconds=20)
PAUSE = timedelta(days=3)
SECOND = Lease(executor="executor-2", until=LATER + timedelta(seconds=15))
KEY = a_run().key
STEP = Step(number=1, event_id=4, content=Answered(message="{}"))
LARGE = STEP.model_copy(
    update={"content": Answered(message="".join(map(chr, range(0x4E00, 0x9FFF))) * 9)}
)


class Rig:
    """A run on a table whose replies may be lost."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.client = client
        self.objects = InMemoryLargeObjects()
        table = Table(client, TABLE)
        self.store = DynamoRunStore(table)
        self.log = DynamoEventLog(table, longest_pause=PAUSE)
        self.journal = DynamoRunJournal(table, self.objects, longest_pause=PAUSE)
        self.store.start(a_run(max_attempts=3), a_request())

    def keep(self, step: Step = STEP) -> None:
        self.journal.write(
            KEY, EXECUTOR, step, deltas(2, 4), at=AT, lease_until=AT + timedelta(seconds=16)
        )

    def items(self, prefix: str) -> list[dict[str, object]]:
        found = self.client.scan(TableName=TABLE)["Items"]
        return [dict(item) for item in found if item["sk"]["S"].startswith(prefix)]


@pytest.fixture
def rig(client: "DynamoDBClient") -> Rig:
    return Rig(client)


def test_a_step_whose_reply_is_lost_is_kept_once(rig: Rig) -> None:
    lose_next_reply(rig.client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        rig.keep()
    rig.keep()
    assert rig.journal.steps(KEY) == [STEP]


@pytest.mark.parametrize("expired", [(1,), (2,), (1, 2)])
def test_steps_that_have_expired_in_part_are_told(rig: Rig, expired: tuple[int, ...]) -> None:
    rig.keep()
    rig.keep(STEP.model_copy(update={"number": 2}))
    assert len(rig.journal.steps(KEY)) == 2
    for item in rig.items("STEP#"):
        if item["sk"] in [{"S": step_sk(number)} for number in expired]:
            key = {"pk": item["pk"], "sk": item["sk"]}
            rig.client.delete_item(TableName=TABLE, Key=key)  # type: ignore[arg-type]
    with pytest.raises(EngineError):
        rig.journal.steps(KEY)


def test_a_step_that_another_executor_has_overtaken_is_refused(rig: Rig) -> None:
    lose_next_reply(rig.client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        rig.keep()
    rig.journal.take_over(rig.store.get_state(KEY), SECOND, at=LATER)
    with pytest.raises(FencedError):
        rig.keep()
    assert rig.journal.steps(KEY) == [STEP]


def test_a_take_over_whose_reply_is_lost_counts_once(rig: Rig) -> None:
    seen = rig.store.get_state(KEY)
    lose_next_reply(rig.client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        rig.journal.take_over(seen, SECOND, at=LATER)
    taken = rig.journal.take_over(seen, SECOND, at=LATER)
    assert (taken.attempt, taken.last_event_id) == (2, 1 + EVENT_ID_GAP)


def test_what_a_zombie_stores_during_a_take_over_lies_in_the_gap(rig: Rig) -> None:
    rig.log.append(KEY, deltas(1, 4), at=AT)
    seen = rig.store.get_state(KEY)
    taken = rig.journal.take_over(seen, SECOND, at=LATER)
    rig.log.append(KEY, deltas(5, 8), at=LATER)
    (lost,) = taken.lost_after
    ids = {event.id for event in rig.log.read(KEY, after=0, at=LATER)}
    assert {number for number in ids if lost < number < taken.last_event_id} == {5, 6, 7, 8}


def test_a_hand_over_whose_reply_is_lost_is_ones_own(rig: Rig) -> None:
    lose_next_reply(rig.client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        rig.journal.hand_over(KEY, EXECUTOR, at=LATER, last_event_id=4, used=USED)
    rig.journal.hand_over(KEY, EXECUTOR, at=LATER, last_event_id=4, used=USED)
    assert rig.store.get_state(KEY).is_handed_over


def test_a_step_and_its_events_go_away_together(rig: Rig) -> None:
    rig.keep()
    (step,), (segment,) = rig.items("STEP#"), rig.items("EV#")
    assert step["ttl"] == segment["ttl"]
    rig.log.append(KEY, deltas(5, 5), at=AT)
    assert rig.items("EV#")[1]["ttl"] == segment["ttl"]


def test_a_large_step_is_small_in_the_table(rig: Rig) -> None:
    assert len(zlib.compress(LARGE.model_dump_json().encode())) > MOST_ITEM_BYTES
    rig.keep(LARGE)
    (item,) = rig.items("STEP#")
    assert item_bytes(item) < 200
    assert rig.journal.steps(KEY) == [LARGE]


def test_a_large_step_that_is_lost_is_no_shorter_turn(rig: Rig) -> None:
    rig.keep(LARGE)
    rig.objects.delete(KEY)
    with pytest.raises(StoreUnavailableError):
        rig.journal.steps(KEY)


def test_a_large_step_needs_a_bucket(rig: Rig) -> None:
    journal = DynamoRunJournal(Table(rig.client, TABLE))
    with pytest.raises(EngineError, match="too large"):
        journal.write(KEY, EXECUTOR, LARGE, (), at=AT, lease_until=LATER)


def test_a_header_of_an_earlier_version_has_one_attempt(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run(), a_request())
    header = client.get_item(TableName=TABLE, Key=header_key(KEY))["Item"]
    assert not {"tries", "attempt", "lost", "handed", "bg", "slot", "steps"} & set(header)
    run = store.get_state(KEY)
    assert (run.attempt, run.max_attempts, run.lost_after) == (1, 1, ())
    assert DynamoRunJournal(Table(client, TABLE)).request(KEY) == a_request()


def test_a_running_header_stays_one_write_unit(client: "DynamoDBClient") -> None:
    store, journal = DynamoRunStore(Table(client, TABLE)), DynamoRunJournal(Table(client, TABLE))
    for length in range(900, 1_100, 3):
        message = "".join(chr(33 + (number * 7919) % 9000) for number in range(length // 2))
        run = a_run(f"run-{length}", session_id=str(length), input=message, max_attempts=3)
        run = run.model_copy(update={"slot_until": AT})
        store.start(run, a_request(message))
        step = STEP.model_copy(update={"number": 999})
        until = AT + timedelta(seconds=30)
        journal.write(run.key, EXECUTOR, step, (), at=AT, lease_until=until)
        header = client.get_item(TableName=TABLE, Key=header_key(run.key))["Item"]
        assert item_bytes(header) <= RUNNING_HEADER_BYTES
