"""What the DynamoDB adapter for conversations makes of bounds, races, faults and leftovers."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo import conversation_store as dynamo_conversation_store
from agentrun.adapters.dynamo import past_turns as dynamo_conversation_turns
from agentrun.adapters.dynamo import session_list as dynamo_conversation_list
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.items import Item, chunk_sk, run_pk, session_key, size_bytes
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.run_writes import start_writes
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.dynamo.texts import to_chunks
from agentrun.domain.conversations import FREE
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.requests import request_fingerprint
from tests.runs import AT, EXECUTOR, SESSION, a_request, a_run
from tests.tables import TABLE
from tests.unit.core.adapters.written_turns import letters, turn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoRunStore:
    return DynamoRunStore(Table(client, TABLE))


@pytest.fixture
def conversations(client: "DynamoDBClient") -> DynamoConversationStore:
    return DynamoConversationStore(Table(client, TABLE))


def test_what_a_fenced_executor_leaves_behind_is_never_seen(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    run = turn(store, 1, "short")
    late = to_chunks("messages", '["a lie"]')[0]
    for executor in (EXECUTOR, "executor-2"):
        for text in ("messages", "output"):
            key = {"pk": {"S": run_pk(run.key)}, "sk": {"S": chunk_sk(text, executor, 0)}}
            client.put_item(TableName=TABLE, Item=key | {"text": {"B": late}})
    (seen,) = conversations.turns("acme", SESSION, newest=None)
    assert (seen.output, seen.messages) == ("short", None)


def test_turns_stop_after_the_one_that_reaches_the_bound(
    client: "DynamoDBClient", store: DynamoRunStore
) -> None:
    for number in range(1, 8):
        turn(store, number, letters(10_000, number))
    bounded = DynamoConversationStore(Table(client, TABLE), turns_limit_bytes=25_000)
    turns = bounded.turns("acme", SESSION, newest=None)
    assert [turn.run_id for turn in turns] == ["run-5", "run-6", "run-7"]
    assert all(len(turn.output) == 10_000 for turn in turns)


def test_more_runs_than_a_page_holds_are_read_page_by_page(
    client: "DynamoDBClient",
    store: DynamoRunStore,
    conversations: DynamoConversationStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [turn(store, number).id for number in range(1, 12)]
    monkeypatch.setattr(dynamo_conversation_turns, "PAGE_RUNS", 4)
    queries: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        queries.append(params["Limit"])

    client.meta.events.register("provide-client-params.dynamodb.Query", note)
    turns = conversations.turns("acme", SESSION, newest=None)
    assert [turn.run_id for turn in turns] == ids
    assert queries == [4, 4, 4]
    turns = conversations.turns("acme", SESSION, newest=6, except_run="run-11")
    assert [turn.run_id for turn in turns] == ids[4:10]
    assert queries[3:] == [4, 4]


def test_a_late_turn_of_a_long_conversation_costs_no_more_than_its_first(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    sizes = []
    for number in range(1, 21):
        run = turn(store, number, letters(1_000, number), letters(5_000, number))
        written = client.query(
            TableName=TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": run_pk(run.key)}},
        )
        session = client.get_item(TableName=TABLE, Key=session_key("acme", SESSION))["Item"]
        sizes.append(sum(size_bytes(item) for item in [*written["Items"], session]))
    turns = conversations.turns("acme", SESSION, newest=None)
    assert sum(len(turn.messages or "") for turn in turns) == 100_000
    assert max(sizes) <= 1.05 * min(sizes)


def test_all_reads_of_a_conversation_are_strongly_consistent(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    turn(store, 1, letters(10_000), letters(10_000))
    reads: list[bool] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        requests = params.get("RequestItems", {}).values() or [params]
        reads.extend(request.get("ConsistentRead", False) for request in requests)

    client.meta.events.register("provide-client-params.dynamodb", note)
    conversations.turns("acme", SESSION, newest=None)
    conversations.run_keys("acme", SESSION)
    conversations.session("acme", SESSION)
    conversations.lock("acme", SESSION)
    assert len(reads) == 6
    assert all(reads)


def test_unprocessed_keys_are_asked_for_again(
    client: "DynamoDBClient", store: DynamoRunStore
) -> None:
    for number in range(1, 4):
        turn(store, number)
    left: list[int] = []

    def leave_one(parsed: dict[str, Any], **_: Any) -> None:
        found = parsed["Responses"][TABLE]
        if len(found) > 1:
            item = found.pop()
            left.append(1)
            key = {name: item[name] for name in ("pk", "sk")}
            parsed["UnprocessedKeys"] = {TABLE: {"Keys": [key], "ConsistentRead": True}}

    client.meta.events.register("after-call.dynamodb.BatchGetItem", leave_one)
    patient = DynamoConversationStore(Table(client, TABLE, sleep=lambda _: None))
    assert len(patient.turns("acme", SESSION, newest=None)) == 3
    assert left


def test_a_batch_that_stays_unprocessed_is_unavailable(
    client: "DynamoDBClient", store: DynamoRunStore
) -> None:
    turn(store, 1)

    def leave_all(parsed: dict[str, Any], **_: Any) -> None:
        keys = [{"pk": {"S": "a"}, "sk": {"S": "b"}}]
        parsed["UnprocessedKeys"] = {TABLE: {"Keys": keys, "ConsistentRead": True}}

    client.meta.events.register("after-call.dynamodb.BatchGetItem", leave_all)
    elapsed = [0.0]

    def sleep(seconds: float) -> None:
        elapsed[0] += seconds

    table = Table(client, TABLE, sleep=sleep, monotonic=lambda: elapsed[0])
    with pytest.raises(StoreUnavailableError):
        DynamoConversationStore(table).turns("acme", SESSION, newest=1)
    assert 2 < elapsed[0] < 4


ASKED = [
    {},
    {"skip": 6},
    {"skip": 11},
    {"skip": 400},
    {"agent_id": "analyst"},
    {"agent_id": "analyst", "skip": 2},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_page_reads_no_other_session_than_its_own(
    client: "DynamoDBClient",
    store: DynamoRunStore,
    conversations: DynamoConversationStore,
    asked: dict[str, Any],
) -> None:
    for number in range(1, 12):
        agent = "analyst" if number % 2 else "echo"
        turn(store, number, session_id=f"session-{number:02}", agent_id=agent)
    read: list[str] = []
    queried: list[dict[str, Any]] = []

    def note_items(params: dict[str, Any], **_: Any) -> None:
        (request,) = params["RequestItems"].values()
        read.extend(key["pk"]["S"].rpartition("#")[2] for key in request["Keys"])

    def note_query(params: dict[str, Any], **_: Any) -> None:
        queried.append(params)

    client.meta.events.register("provide-client-params.dynamodb.BatchGetItem", note_items)
    client.meta.events.register("provide-client-params.dynamodb.Query", note_query)
    page = conversations.sessions("acme", "ana", **{"agent_id": None, "size": 3} | asked)
    assert sorted(read) == sorted(session.id for session in page.sessions)
    assert page.total == (6 if "agent_id" in asked else 11)
    # Nothing but the index of keys is queried, and what is only counted is not read out.
    assert {query["IndexName"] for query in queried} == {"sessions"}
    read_out = sum(query.get("Limit", 11) for query in queried if "Select" not in query)
    assert read_out <= (11 if "agent_id" in asked else 4)


def test_a_list_of_several_megabytes_of_keys_is_counted_whole(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    for number in range(1, 12):
        turn(store, number, session_id=f"session-{number:02}")
    asked: list[dict[str, Any]] = []

    def four_a_time(params: dict[str, Any], **_: Any) -> None:
        # In place of 1 MB, DynamoDB's own bound of an answer.
        asked.append(dict(params))
        params["Limit"] = min(4, params.get("Limit", 4))

    client.meta.events.register("provide-client-params.dynamodb.Query", four_a_time)
    page = conversations.sessions("acme", "ana", agent_id=None, size=2, skip=7)
    assert [session.id for session in page.sessions] == ["session-04", "session-03"]
    assert page.total == 11
    counted = [query.get("Limit") for query in asked if query.get("Select") == "COUNT"]
    assert counted == [7, 3, None]


def test_sessions_listed_before_agents_stood_in_the_index_are_found_by_their_agent(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    for number, agent in enumerate(("echo", "analyst", "echo", "analyst"), start=1):
        turn(store, number, session_id=f"session-{number}", agent_id=agent)
    for number in (1, 2, 3):
        key = session_key("acme", f"session-{number}")
        position = client.get_item(TableName=TABLE, Key=key)["Item"]["gsi1sk"]["S"]
        client.update_item(
            TableName=TABLE,
            Key=key,
            UpdateExpression="SET gsi1sk = :old",
            ExpressionAttributeValues={":old": {"S": position.rpartition("#")[0]}},
        )
    page = conversations.sessions("acme", "ana", agent_id="analyst", size=5)
    assert [session.id for session in page.sessions] == ["session-4", "session-2"]
    assert page.total == 2


def test_a_session_that_the_index_still_knows_is_passed_over_once_it_is_gone(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    for number in range(1, 4):
        turn(store, number, session_id=f"session-{number}")

    def forget(parsed: dict[str, Any], **_: Any) -> None:
        found = parsed["Responses"][TABLE]
        gone = next(item for item in found if item["pk"]["S"].endswith("session-2"))
        found.remove(gone)

    client.meta.events.register("after-call.dynamodb.BatchGetItem", forget)
    first = conversations.sessions("acme", "ana", agent_id=None, size=2)
    assert first.next_cursor is not None
    client.meta.events.unregister("after-call.dynamodb.BatchGetItem", forget)
    last = conversations.sessions("acme", "ana", agent_id=None, size=2, cursor=first.next_cursor)
    assert [[session.id for session in page.sessions] for page in (first, last)] == [
        ["session-3"],
        ["session-1"],
    ]


def test_a_session_that_has_started_afresh_as_somebody_elses_is_passed_over(
    client: "DynamoDBClient", store: DynamoRunStore, conversations: DynamoConversationStore
) -> None:
    turn(store, 1)
    client.update_item(
        TableName=TABLE,
        Key=session_key("acme", SESSION),
        UpdateExpression="SET userId = :bob",
        ExpressionAttributeValues={":bob": {"S": "bob"}},
    )
    page = conversations.sessions("acme", "ana", agent_id=None, size=2, cursor=None)
    assert page.sessions == ()


@pytest.mark.parametrize("message", ["hello", "x" * 700, "".join(map(chr, range(256, 1256)))])
def test_a_fingerprint_costs_no_write_unit(message: str) -> None:
    longest = {"org_id": "o" * 256, "session_id": "s" * 64, "agent_id": "a" * 64}
    run = a_run("r" * 64, input=message, **longest)

    def puts(fingerprint: str | None) -> list[Item]:
        writes = start_writes(run, a_request(message), None, seen=FREE, fingerprint=fingerprint)
        return [write.at for write in writes if write.kind == "Put"]

    fingerprint = request_fingerprint(run.agent_id, {"message": message})
    without, recognised = puts(None), puts(fingerprint)
    assert sum("fingerprint" in item for item in recognised) == 1
    assert [-(-size_bytes(item) // 1024) for item in recognised] == [
        -(-size_bytes(item) // 1024) for item in without
    ]


def test_a_request_is_looked_for_in_a_bounded_number_of_sessions(
    client: "DynamoDBClient",
    store: DynamoRunStore,
    conversations: DynamoConversationStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dynamo_conversation_list, "PAGE_SESSIONS", 2)
    monkeypatch.setattr(dynamo_conversation_store, "MAX_PAGES_OF_SESSIONS", 2)
    monkeypatch.setattr(dynamo_conversation_store, "MAX_SESSIONS", 1)
    hello = ("1", "4", "5")
    for number in "123456":
        at = AT + timedelta(seconds=int(number))
        run = a_run(number, session_id=f"s{number}", created_at=at)
        store.start(run, a_request("hello" if number in hello else number), fingerprint="f")

    def found(since: int) -> list[str]:
        at = AT + timedelta(seconds=since)
        asked: dict[str, Any] = {"agent_id": "echo", "fingerprint": "f", "since": at}
        return [
            run.id for run in conversations.runs_of_request("acme", "ana", a_request(), **asked)
        ]

    assert found(0) == ["5"]
    for number in ("5", "4"):
        client.delete_item(TableName=TABLE, Key=session_key("acme", f"s{number}"))
    assert found(0) == ["1"]
    monkeypatch.setattr(dynamo_conversation_store, "MAX_PAGES_OF_SESSIONS", 1)
    assert found(0) == []
