"""What steps, take-overs and hand-overs write: by the store itself, priced by DynamoDB's rules."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.events import ContentDelta, RecordedEvent
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, Lease, RunStatus
from agentrun.domain.steps import Answered, Step
from bench.capacity_units import CapacityMeter
from bench.processes import ROOT
from tests.runs import USED
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT = datetime(2026, 11, 22, tzinfo=UTC)
UUID = "3f1d7a52-6c0b-4e8e-9d0a-51b2c7e4f8a6"
EVENTS = 25
"""Of an answer that calls a tool, since the last segment: 1.4 s of 20 events a second."""
EXECUTORS = ("executor-1", "executor-2", "executor-3")
SLACK = timedelta(minutes=1)


class StepCosts:
    """One run whose steps are written, and that passes from executor to executor."""

    def __init__(self, client: "DynamoDBClient") -> None:
        """Start the run with this client, and count what it writes from then on."""
        self._store = DynamoRunStore(Table(client, TABLE))
        self._journal = DynamoRunJournal(Table(client, TABLE))
        pages = sorted((ROOT / "docs").rglob("*.md"))
        self._prose = "".join(page.read_text("utf-8") for page in pages)
        self._run = AgentRun(
            id=UUID,
            agent_id="docs_assistant",
            session_id=UUID[::-1],
            user_id=UUID,
            org_id="step-costs",
            status=RunStatus.RUNNING,
            input="How do I attach to a run again?",
            created_at=AT,
            updated_at=AT,
            started_at=AT,
            lease=Lease(executor=EXECUTORS[0], until=AT),
            last_event_id=1,
            max_attempts=3,
            slot_until=AT,
        )
        self._store.start(self._run, RunRequest(message="How do I attach to a run again?"))
        self._meter = CapacityMeter()
        self._meter.attach(client)

    def measure(self) -> dict[str, float]:
        """Return the write units of each piece of work."""
        work: dict[str, Callable[[], object]] = {
            "a step of 1 KB with 25 events": lambda: self._keep(1, 1),
            "a step of 8 KB with 25 events": lambda: self._keep(2, 8),
            "asking for an executor": lambda: self._journal.may_ask(self._state(), at=AT),
            "a take-over": lambda: self._take_over(EXECUTORS[1]),
            "a hand-over": self._hand_over,
            "a take-over after a hand-over": lambda: self._take_over(EXECUTORS[2]),
        }
        total = [0.0]
        for do in work.values():
            do()
            total.append(sum(charges.computed for charges in self._meter.writes.values()))
        spent = (after - before for before, after in pairwise(total))
        return dict(zip(work, spent, strict=True))

    def _state(self) -> AgentRun:
        return self._store.get_state(self._run.key)

    def _keep(self, number: int, kilobytes: int) -> None:
        """Store a step of a message of this size before it is compressed, and its events."""
        text = self._prose[: kilobytes * 1024]
        message = json.dumps({"parts": [{"content": text, "part_kind": "text"}]})
        first = (number - 1) * EVENTS + 2
        events = [
            RecordedEvent(
                id=first + place,
                timestamp_ms=50 * place,
                event=ContentDelta(text=self._prose[place * 15 : place * 15 + 15]),
            )
            for place in range(EVENTS)
        ]
        content = Answered(message=message)
        step = Step(number=number, event_id=events[-1].id, content=content)
        self._journal.write(
            self._run.key, EXECUTORS[0], step, events, at=AT, lease_until=AT + number * SLACK
        )

    def _take_over(self, executor: str) -> None:
        self._journal.take_over(self._state(), Lease(executor=executor, until=AT), at=AT)

    def _hand_over(self) -> None:
        last = EVENT_ID_GAP + 2 * EVENTS + 2
        self._journal.hand_over(self._run.key, EXECUTORS[1], at=AT, last_event_id=last, used=USED)
