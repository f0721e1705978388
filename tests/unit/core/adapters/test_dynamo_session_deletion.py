"""What deleting a session leaves when it is interrupted, outrun or throttled: nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from agentrun.adapters.dynamo import deletion as dynamo_conversation_deletion
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.deletion import DynamoDeletion
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import MAX_WRITES, Table
from agentrun.domain.errors import RunNotFoundError, SessionNotFoundError, StoreUnavailableError
from agentrun.domain.runs import AgentRun
from tests.runs import AT, deltas
from tests.tables import TABLE
from tests.unit.core.adapters.written_turns import items, letters, turn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoRunStore:
    return DynamoRunStore(Table(client, TABLE))


@pytest.fixture
def conversations(client: "DynamoDBClient") -> DynamoConversationStore:
    return DynamoConversationStore(Table(client, TABLE))


class TestDeleting:
    """A session of more runs than are deleted at once, with everything that runs may leave."""

    RUNS = 6

    @pytest.fixture(autouse=True)
    def _a_long_session(
        self, client: "DynamoDBClient", store: DynamoRunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dynamo_conversation_deletion, "MAX_WRITES", 4)
        for number in range(1, self.RUNS + 1):
            turn(store, number, session_id="deleted")
        last = turn(store, 99, letters(9_000), letters(9_000), session_id="deleted")
        log = DynamoEventLog(Table(client, TABLE))
        for event_id in range(1, MAX_WRITES + 5):
            log.append(last.key, deltas(event_id, event_id), at=AT)

    @pytest.fixture
    def _no_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)

    def test_nothing_is_left(
        self, client: "DynamoDBClient", conversations: DynamoConversationStore
    ) -> None:
        conversations.delete("acme", "deleted")
        assert items(client) == []

    @pytest.mark.parametrize("operation", ["BatchWriteItem", "Query"])
    def test_it_may_be_interrupted_anywhere_and_begun_again(
        self, client: "DynamoDBClient", conversations: DynamoConversationStore, operation: str
    ) -> None:
        interruptions = 0
        while True:
            try:
                with lost_after(client, operation, 1 + interruptions):
                    conversations.delete("acme", "deleted")
            except StoreUnavailableError:
                interruptions += 1
                conversations.session("acme", "deleted")
                continue
            break
        # Without its header nobody knows how old a run is.
        assert [item for item in items(client) if set(item) != {"pk", "sk", "ttl"}] == []
        assert interruptions

    def test_the_lost_reply_to_the_last_step_hides_a_success(
        self, client: "DynamoDBClient", conversations: DynamoConversationStore
    ) -> None:
        with lost_after(client, "DeleteItem", 1), pytest.raises(StoreUnavailableError):
            conversations.delete("acme", "deleted")
        with pytest.raises(SessionNotFoundError):
            conversations.delete("acme", "deleted")
        assert items(client) == []

    def test_a_run_without_its_header_is_missing_and_found_again_by_its_pointer(
        self,
        client: "DynamoDBClient",
        store: DynamoRunStore,
        conversations: DynamoConversationStore,
    ) -> None:
        with (
            lost_after(client, "BatchWriteItem", 1),
            pytest.raises(StoreUnavailableError),
        ):
            conversations.delete("acme", "deleted")
        keys = conversations.run_keys("acme", "deleted")
        assert len(keys) == self.RUNS + 1
        with pytest.raises(RunNotFoundError):
            store.get(keys[-1])

    @pytest.mark.usefixtures("_no_pauses")
    def test_unprocessed_items_are_written_again(
        self, client: "DynamoDBClient", conversations: DynamoConversationStore
    ) -> None:
        held_back: list[Any] = []

        def hold_back(params: dict[str, Any], **_: Any) -> None:
            requests = params["RequestItems"][TABLE]
            if len(requests) > 1:
                held_back.append(requests.pop())

        def hand_back(parsed: dict[str, Any], **_: Any) -> None:
            if held_back and held_back[-1] is not None:
                parsed["UnprocessedItems"] = {TABLE: [held_back[-1]]}
                held_back.append(None)

        events = client.meta.events
        events.register("provide-client-params.dynamodb.BatchWriteItem", hold_back)
        events.register("after-call.dynamodb.BatchWriteItem", hand_back)
        conversations.delete("acme", "deleted")
        assert held_back
        assert items(client) == []

    def test_a_run_that_is_started_meanwhile_goes_too(
        self,
        client: "DynamoDBClient",
        store: DynamoRunStore,
        conversations: DynamoConversationStore,
    ) -> None:
        late: list[AgentRun] = []

        def start(**_: Any) -> None:
            if not late:
                late.append(turn(store, 200, session_id="deleted"))

        client.meta.events.register("before-call.dynamodb.DeleteItem", start)
        conversations.delete("acme", "deleted")
        assert late
        assert items(client) == []

    def test_it_gives_up_in_time_to_say_so(self, client: "DynamoDBClient") -> None:
        ticks = iter(range(0, 1_000, 6))
        deletion = DynamoDeletion(Table(client, TABLE), monotonic=lambda: next(ticks))
        with pytest.raises(StoreUnavailableError):
            deletion.delete("acme", "deleted")
        assert items(client)
        DynamoDeletion(Table(client, TABLE)).delete("acme", "deleted")
        assert items(client) == []


class lost_after:  # noqa: N801 - reads as a clause
    """Lose the replies of an operation from a certain call on, while it lasts."""

    def __init__(self, client: "DynamoDBClient", operation: str, calls: int) -> None:
        self._events: Any = client.meta.events
        self._name = f"after-call.dynamodb.{operation}"
        self._left = calls

    def _lose(self, **_: Any) -> None:
        self._left -= 1
        if self._left <= 0:
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def __enter__(self) -> None:
        self._hook: Callable[..., None] = self._lose
        self._events.register(self._name, self._hook)

    def __exit__(self, *_: object) -> None:
        self._events.unregister(self._name, self._hook)
