"""What the DynamoDB adapter makes of partial answers, refusals and limits."""

import random
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.items import size_bytes
from agentrun.adapters.dynamo.run_ends import ENDED_HEADER_BYTES
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.run_writes import RUNNING_HEADER_BYTES
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.dynamo.texts import read_text
from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import FencedError, StoreUnavailableError
from agentrun.domain.runs import Lease, RunKey, RunStatus
from tests.fakes.clock import Elapsing
from tests.runs import AT, EXECUTOR, PAUSED_UNTIL, a_queued_run, a_request, a_run, completed, paused
from tests.tables import TABLE
from tests.translated_template import properties

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = AT + timedelta(seconds=9)
SECOND = Lease(executor="executor-2", until=LATER + timedelta(seconds=15))
KEY = a_run().key


def leave_unprocessed(client: "DynamoDBClient", *, of_each_answer: int, times: int) -> list[int]:
    """Make BatchGetItem leave this many keys of each answer unprocessed, this often."""
    calls: list[int] = []

    def edit(parsed: dict[str, Any], **_: Any) -> None:
        calls.append(len(parsed["Responses"].get(TABLE, [])))
        if len(calls) <= times:
            items = parsed["Responses"][TABLE]
            left = [items.pop() for _ in range(of_each_answer)]
            keys = [{"pk": item["pk"], "sk": item["sk"]} for item in left]
            parsed["UnprocessedKeys"] = {TABLE: {"Keys": keys}}

    client.meta.events.register("after-call.dynamodb.BatchGetItem", edit)
    return calls


def keys_of_started_runs(store: DynamoRunStore, count: int) -> list[RunKey]:
    runs = [a_run(f"run-{number}", session_id=f"s{number}") for number in range(count)]
    for run in runs:
        store.start(run, a_request())
    return [run.key for run in runs]


def test_unprocessed_keys_are_asked_for_again_after_a_pause(client: "DynamoDBClient") -> None:
    time = Elapsing()
    table = Table(client, TABLE, sleep=time.sleep, monotonic=time.monotonic)
    store = DynamoRunStore(table)
    keys = keys_of_started_runs(store, 9)
    calls = leave_unprocessed(client, of_each_answer=2, times=2)
    assert set(store.get_many(keys, with_text=True)) == set(keys)
    assert calls == [9, 2, 2]
    assert len(time.sleeps) == 2


def test_keys_that_stay_unprocessed_are_an_error_never_a_shorter_list(
    client: "DynamoDBClient",
) -> None:
    time = Elapsing()
    table = Table(client, TABLE, sleep=time.sleep, monotonic=time.monotonic)
    store = DynamoRunStore(table)
    keys = keys_of_started_runs(store, 3)
    leave_unprocessed(client, of_each_answer=1, times=10_000)
    with pytest.raises(StoreUnavailableError):
        store.get_many(keys, with_text=True)
    assert time.now_s <= 4.0


def test_a_hundred_runs_are_one_call(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    keys = keys_of_started_runs(store, 100)
    calls = leave_unprocessed(client, of_each_answer=0, times=0)
    assert len(store.get_many(keys, with_text=True)) == 100
    assert calls == [100]


def test_throttling_is_unavailability_and_a_refusal_is_not(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, "no-such-table"))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        store.get(a_run().key)

    def throttle(**_: Any) -> None:
        error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise ClientError(error, "GetItem")  # type: ignore[arg-type] # the rest is optional

    client.meta.events.register("after-call.dynamodb.GetItem", throttle)
    with pytest.raises(StoreUnavailableError):
        store.get(a_run().key)


def test_a_run_that_is_gone_cannot_be_renewed(client: "DynamoDBClient") -> None:
    with pytest.raises(FencedError):
        DynamoRunStore(Table(client, TABLE)).heartbeat(a_run().key, EXECUTOR, lease_until=AT)


@pytest.mark.parametrize(
    "message", ["hi", "words that repeat " * 5_000, "".join(map(chr, range(33, 9000)))]
)
def test_a_header_stays_small_while_running_and_at_its_end(
    client: "DynamoDBClient", message: str
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    run = a_run(id="r" * 36, model="bedrock:global.anthropic.claude-sonnet-5-5")
    run = run.model_copy(update={"input": message, "user_id": "u" * 64, "org_id": "o" * 64})
    store.start(run, a_request(message))
    assert size_bytes(store.read_header(run.key)) <= RUNNING_HEADER_BYTES
    store.finish(run.key, EXECUTOR, completed(message), at=AT)
    assert size_bytes(store.read_header(run.key)) <= ENDED_HEADER_BYTES
    assert store.get(run.key).output == message


def test_a_checkpoint_goes_away_two_days_after_its_pause(
    client: "DynamoDBClient",
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run(), a_request())
    store.finish(KEY, EXECUTOR, paused(), at=LATER)
    ttls = [i["ttl"]["N"] for i in client.scan(TableName=TABLE)["Items"] if "ttl" in i]
    assert ttls == [str(int((PAUSED_UNTIL + timedelta(days=2)).timestamp()))]


@pytest.mark.parametrize("size", [0, 10, 4_000, 5_000, 7_000, 400_000])
@pytest.mark.parametrize("output_size", [5, 4_000, 9_000])
def test_messages_are_kept_beside_a_header_of_at_most_4_kb(
    client: "DynamoDBClient", size: int, output_size: int
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    # Random digits do not compress to much less than half.
    digits = "".join(random.Random(1).choices("0123456789", k=400_000))
    output, messages = digits[:output_size], digits[:size]
    store.start(a_run(input=digits[:1_400]), a_request())
    assert size_bytes(store.read_header(KEY)) > 0.9 * RUNNING_HEADER_BYTES
    store.finish(KEY, EXECUTOR, completed(output, messages=messages), at=LATER)
    header = store.read_header(KEY)
    assert size_bytes(header) <= ENDED_HEADER_BYTES
    assert read_text(Table(client, TABLE), header, "messages") == messages
    assert store.get(KEY).output == output


def test_a_run_without_messages_stores_none(
    client: "DynamoDBClient",
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run(), a_request())
    store.finish(KEY, EXECUTOR, completed(), at=LATER)
    assert read_text(Table(client, TABLE), store.read_header(KEY), "messages") is None
    assert len(client.scan(TableName=TABLE)["Items"]) == 3


def test_settling_and_cancelling_name_only_what_the_status_function_may(
    client: "DynamoDBClient",
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    named: set[str] = set()
    returned: set[str] = set()

    def note(params: dict[str, Any], **_: Any) -> None:
        words = f"{params['UpdateExpression']} {params['ConditionExpression']}"
        names: dict[str, str] = params.get("ExpressionAttributeNames", {})
        literal = {w for w in re.findall(r"(?<![#:\w])\w+\b(?!\()", words) if not w.isupper()}
        named.update(literal | set(names.values()) | set(params["Key"]))
        returned.add(params.get("ReturnValues", "NONE"))

    store.start(a_run(), a_request())
    pause = store.finish(KEY, EXECUTOR, paused(), at=LATER)
    runs = [a_run("run-2", session_id="s2"), a_queued_run("run-3"), a_run("run-4", session_id="s4")]
    for run in runs:
        store.start(run, a_request())
    client.meta.events.register("provide-client-params.dynamodb.UpdateItem", note)
    for run in runs[1:]:
        store.request_cancel(run.key, at=LATER)
    store.expire(runs[0], at=LATER)
    store.resume(
        pause,
        SECOND,
        seen=SessionLock(active="run-1", active_by=EXECUTOR),
        at=LATER,
    )
    assert store.expire(store.get_state(KEY), at=LATER).status is RunStatus.PAUSED
    assert store.expire(store.get_state(KEY), at=PAUSED_UNTIL).status is RunStatus.CANCELLED
    (allowed,) = (
        set(statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"])
        for policy in properties("StatusFunctionRole")["Policies"]
        for statement in policy.get("PolicyDocument", {}).get("Statement", [])
        if "Condition" in statement and "UpdateItem" in str(statement["Action"])
    )
    assert named <= allowed
    assert {"leaseUntil", "cancelRequestedAt", "errorType", "queue"} <= named
    assert returned == {"NONE"}
