"""Whatever an executor writes late for a deleted run, nothing is left that does not expire."""

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.dynamo.texts import ERASED_FOR
from agentrun.domain.conversations import SessionLock
from agentrun.domain.endings import EndProgress, Outcome
from agentrun.domain.errors import FencedError, SessionNotFoundError, StoreUnavailableError
from agentrun.domain.runs import Lease
from agentrun.domain.steps import Answered, Step
from agentrun.domain.turns import Checkpoint
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.runs import AT, EXECUTOR, SESSION, a_request, a_run, completed, deltas, paused
from tests.tables import TABLE, client_of, stored_table
from tests.unit.core.adapters.written_turns import items, letters

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = a_run().key
MINUTE = timedelta(minutes=1)
SHORT = letters(30_000, seed=2)
ANSWER = completed(SHORT, messages=letters(9_000, seed=1))
OTHER = completed(letters(30_000, seed=3))
MESSAGES = completed(messages=letters(9_000, seed=1))
PAUSE = paused(output=SHORT, checkpoint=Checkpoint(request=a_request(), state="waiting"))
GO = 0


class Writer:
    """An executor that writes its run's end, one request at a time, and may be late."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self._store = DynamoRunStore(Table(client, TABLE))
        self.begin([])
        events: Any = client.meta.events
        for name in ("PutItem", "UpdateItem"):
            events.register(f"before-parameter-build.dynamodb.{name}", self._meet)

    def begin(self, ends: Sequence[Outcome]) -> None:
        """Have these ends to write; one that is not the last breaks off after its first chunk."""
        self.puts: list[Any] = []
        self.is_done = not ends
        self._ends = [(EndProgress(end=number), end) for number, end in enumerate(ends)]
        self._calls_left = 0

    def step(self) -> None:
        """Make the next request."""
        progress, outcome = self._ends[0]
        self._calls_left = 1
        try:
            self._store.finish(KEY, EXECUTOR, outcome, at=AT, progress=progress)
            self.is_done = True
        except StoreUnavailableError:
            if len(self._ends) > 1 and progress.stored:
                self._ends.pop(0)
        except FencedError:
            self.is_done = True

    def _meet(self, params: Any, **_: Any) -> None:
        if not self._calls_left:
            raise ReadTimeoutError(endpoint_url="dynamodb")
        self._calls_left -= 1
        if "Item" in params:
            self.puts.append(dict(params))


class ErasureRig:
    """A table with one run, its executor and a deletion of its session, a client for each."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.client, deleting = client, client_of()
        self.writer = Writer(client_of())
        self.store = DynamoRunStore(Table(self.client, TABLE))
        self.now = AT + MINUTE
        self.conversations = DynamoConversationStore(Table(deleting, TABLE), now=lambda: self.now)
        self.events: Any = deleting.meta.events
        self.store.start(a_run(), a_request())
        self._started = copy.deepcopy(stored_table().items)

    def begin(self, *ends: Outcome) -> None:
        """Start afresh with a run whose executor has these ends to write."""
        stored_table().items = copy.deepcopy(self._started)
        self.writer.begin(ends)

    def delete(self) -> None:
        """Delete the session, however often that is interrupted."""
        while True:
            try:
                return self.conversations.delete("acme", SESSION)
            except SessionNotFoundError:
                return None
            except StoreUnavailableError:
                continue

    def write_late(self) -> None:
        """Let the executor go on to its end, and each of its writes come once more."""
        while not self.writer.is_done:
            self.writer.step()
        for put in self.writer.puts:
            with suppress(self.client.exceptions.ConditionalCheckFailedException):
                self.client.put_item(**put)

    def left(self) -> list[str]:
        """Name what is left but marks that expire, or has anything beside."""
        mark = {"pk", "sk", "ttl"}
        return [item["sk"]["S"] for item in items(self.client) if set(item) != mark]


@pytest.fixture
def rig(client: "DynamoDBClient") -> ErasureRig:
    return ErasureRig(client)


class Schedule:
    """Which requests of a writer come before which of a deletion's, and whether a reply is lost."""

    def __init__(self, given: Sequence[int], rig: ErasureRig, *, loses: bool) -> None:
        self.taken: list[tuple[int, int]] = []
        self._given = given
        self._workplace = rig
        self._may_lose = loses

    def _choose(self) -> bool:
        choice = self._given[len(self.taken)] if len(self.taken) < len(self._given) else GO
        self.taken.append((choice, 2))
        return choice != GO

    def before(self, params: Any, **_: Any) -> None:
        """Let the writer go first, or not."""
        while not self._workplace.writer.is_done and _is_of_the_run(params) and self._choose():
            self._workplace.writer.step()

    def after(self, **_: Any) -> None:
        """Lose a reply, or not; at most one is lost."""
        if self._may_lose and self._choose():
            self._may_lose = False
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def run(self) -> None:
        """Delete, then let everything come that is late."""
        hooks = (("before-parameter-build", self.before), ("after-call", self.after))
        for name, hook in hooks:
            self._workplace.events.register(f"{name}.dynamodb", hook)
        try:
            self._workplace.delete()
        finally:
            for name, hook in hooks:
                self._workplace.events.unregister(f"{name}.dynamodb", hook)
        self._workplace.write_late()


def _is_of_the_run(params: Any) -> bool:
    """Tell the requests that a writer's may come before or after; others are nothing to it."""
    return "ORG#acme#RUN#run-1" in repr(params)


def every_schedule(run: Callable[[tuple[int, ...]], list[tuple[int, int]]]) -> int:
    """
    Run each schedule once; returns how many there are.

    A run takes the choices that it is given, then always the first one, and says of each choice
    which it took, and of how many.
    """
    pending: list[tuple[int, ...]] = [()]
    tried = 0
    while pending:
        given = pending.pop()
        taken = run(given)
        tried += 1
        for at in range(len(given), len(taken)):
            before = tuple(choice for choice, _ in taken[:at])
            pending += [(*before, other) for other in range(1, taken[at][1])]
    return tried


@pytest.mark.parametrize(
    ("ends", "loses", "interleavings"),
    [
        pytest.param([ANSWER], False, 98, id="answer"),
        pytest.param([PAUSE], False, 98, id="pause"),
        pytest.param([ANSWER, OTHER], False, 79, id="second end"),
        pytest.param([MESSAGES], True, 149, id="deletion interrupted"),
    ],
)
def test_no_interleaving_of_a_deletion_with_an_end_leaves_what_does_not_expire(
    rig: ErasureRig, ends: list[Outcome], loses: bool, interleavings: int
) -> None:
    def run(given: tuple[int, ...]) -> list[tuple[int, int]]:
        rig.begin(*ends)
        schedule = Schedule(given, rig, loses=loses)
        schedule.run()
        assert rig.left() == [], schedule.taken
        return schedule.taken

    assert every_schedule(run) == interleavings


def test_a_run_that_ended_longer_ago_than_marks_last_is_only_deleted(rig: ErasureRig) -> None:
    rig.begin(ANSWER)
    rig.write_late()
    transactions: list[object] = []
    rig.events.register(
        "before-call.dynamodb.TransactWriteItems", lambda **_: transactions.append(1)
    )
    rig.now = AT + ERASED_FOR + timedelta(seconds=1)
    rig.delete()
    assert (items(rig.client), transactions) == ([], [])


def test_a_deletion_stops_the_executor_of_that_moment(rig: ErasureRig) -> None:
    rig.begin(PAUSE)
    rig.write_late()
    seen = rig.store.get(KEY)
    second = Lease(executor="executor-2", until=AT + MINUTE)
    resumed: list[object] = []

    def resume(**_: Any) -> None:
        if not resumed:
            resumed.append(second)
            lock = SessionLock(active=seen.id, active_by=EXECUTOR)
            rig.store.resume(seen, second, seen=lock, at=AT)

    rig.events.register("before-call.dynamodb.TransactWriteItems", resume)
    rig.delete()
    with pytest.raises(FencedError):
        rig.store.finish(KEY, second.executor, ANSWER, at=AT)
    assert resumed
    assert rig.left() == []


@pytest.mark.parametrize(
    ("outcome", "written"),
    [(ANSWER, 0), (ANSWER, 1), (ANSWER, 2), (MESSAGES, 0), (MESSAGES, 1), (PAUSE, 0), (PAUSE, 1)],
)
def test_executors_that_were_lost_leave_nothing_of_a_deleted_run(
    rig: ErasureRig, outcome: Outcome, written: int
) -> None:
    rig.begin(outcome)
    for _ in range(written):
        rig.writer.step()
    journal = DynamoRunJournal(Table(rig.client, TABLE))
    for number in range(2, 4):
        lease = Lease(executor=f"executor-{number}", until=AT + MINUTE)
        journal.take_over(rig.store.get_state(KEY), lease, at=AT)
    rig.delete()
    rig.write_late()
    assert rig.left() == []


def test_steps_and_objects_are_deleted_with_their_run(client: "DynamoDBClient") -> None:
    table, objects = Table(client, TABLE), InMemoryLargeObjects()
    store = DynamoRunStore(table, objects)
    journal = DynamoRunJournal(table, objects)
    store.start(a_run(), a_request())
    step = Step(number=1, event_id=4, content=Answered(message="{}"))
    journal.write(KEY, EXECUTOR, step, deltas(2, 4), at=AT, lease_until=AT + MINUTE)
    objects.put(KEY, "media", b"x")
    objects.put(a_run("run-2").key, "media", b"y")
    conversations = DynamoConversationStore(table, objects, now=lambda: AT + MINUTE)
    conversations.delete("acme", SESSION)
    assert [item["sk"]["S"] for item in items(client) if "ttl" not in item] == []
    assert not {"step", "events"} & {name for item in items(client) for name in item}
    assert list(objects.objects) == [a_run("run-2").key]
    with pytest.raises(FencedError):
        journal.write(KEY, EXECUTOR, step, deltas(2, 4), at=AT, lease_until=AT + MINUTE)


def test_a_session_is_there_until_the_bucket_has_let_go(client: "DynamoDBClient") -> None:
    table, objects = Table(client, TABLE), InMemoryLargeObjects()
    DynamoRunStore(table).start(a_run(), a_request())
    objects.put(KEY, "media", b"x")
    objects.fails("delete", times=1)
    conversations = DynamoConversationStore(table, objects, now=lambda: AT + MINUTE)
    with pytest.raises(StoreUnavailableError):
        conversations.delete("acme", SESSION)
    assert objects.get(KEY, "media") == b"x"
    conversations.delete("acme", SESSION)
    assert objects.get(KEY, "media") is None
