"""The stores of runs and what a suite does with them, in memory and on DynamoDB."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.endings import Outcome
from agentrun.domain.ports import ConversationStore, EventLog, RunJournal, RunStore
from agentrun.domain.runs import AgentRun
from tests.fakes.in_memory_conversations import InMemoryConversations
from tests.fakes.in_memory_journal import InMemoryRunJournal
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, EXECUTOR, a_request, a_run, completed
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass
class Stores:
    """A run store, its log, and the conversation store that reads what they have written."""

    runs: RunStore
    log: EventLog
    conversations: ConversationStore
    journal: RunJournal
    objects: InMemoryLargeObjects

    @classmethod
    def in_memory(cls) -> Self:
        log = InMemoryEventLog()
        runs = InMemoryRunStore(log)
        journal, objects = InMemoryRunJournal(runs), InMemoryLargeObjects()
        return cls(runs, log, InMemoryConversations(runs), journal, objects)

    @classmethod
    def on_dynamo(cls, client: "DynamoDBClient") -> Self:
        table, objects = Table(client, TABLE), InMemoryLargeObjects()
        return cls(
            DynamoRunStore(table, objects),
            DynamoEventLog(table),
            DynamoConversationStore(table),
            DynamoRunJournal(table, objects),
            objects,
        )

    def begin(
        self,
        number: int = 1,
        message: str = "hello",
        *,
        fingerprint: str | None = None,
        **changes: Any,
    ) -> AgentRun:
        """Start the run of this number, as many seconds after the first instant."""
        at = AT + timedelta(seconds=number)
        fields = {"input": message, "created_at": at, "updated_at": at, "started_at": at}
        run = a_run(f"run-{number}", **fields | changes)
        lock = self.conversations.lock(run.org_id, run.session_id)
        self.runs.start(run, a_request(message), seen=lock, fingerprint=fingerprint)
        return run

    def end(self, run: AgentRun, outcome: Outcome) -> None:
        self.runs.finish(run.key, EXECUTOR, outcome, at=run.created_at + timedelta(seconds=1))
        self.runs.release(run)

    def turn(
        self,
        number: int = 1,
        message: str = "hello",
        outcome: Outcome | None = None,
        **changes: Any,
    ) -> AgentRun:
        run = self.begin(number, message, **changes)
        self.end(run, outcome or completed(f"answer {number}"))
        return run

    def session_ids(
        self, user: str = "ana", *, cursor: str | None = None, **wanted: Any
    ) -> list[str]:
        """Walk through the pages of a user's sessions."""
        ids: list[str] = []
        while True:
            query = {"agent_id": None, "size": 2, "cursor": cursor} | wanted
            page = self.conversations.sessions("acme", user, **query)
            assert len(page.sessions) <= query["size"]
            ids += [session.id for session in page.sessions]
            cursor = page.next_cursor
            if cursor is None:
                return ids
