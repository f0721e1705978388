"""Runs, requests and outcomes to test with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agentrun.domain.endings import Completed, Failed, PausedForDecision
from agentrun.domain.events import ContentDelta, Metrics, Paused, PendingApproval, RecordedEvent
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.domain.turns import Checkpoint

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
SESSION = "5f0a4c3e-8f3e-4d61-9d0c-2f1a7c9f0b11"
EXECUTOR = "executor-1"
USED = Metrics(total_tokens=7, llm_calls=1, cost_usd=0.25, duration_ms=700)
PAUSED_UNTIL = AT + timedelta(days=3)


def a_run(run_id: str = "run-1", **changes: Any) -> AgentRun:
    fields: dict[str, Any] = {
        "id": run_id,
        "agent_id": "echo",
        "session_id": SESSION,
        "user_id": "ana",
        "org_id": "acme",
        "status": RunStatus.RUNNING,
        "input": "hello",
        "created_at": AT,
        "updated_at": AT,
        "started_at": AT,
        "model": "demo",
        "lease": Lease(executor=EXECUTOR, until=AT + timedelta(seconds=15)),
        "last_event_id": 1,
    }
    return AgentRun(**(fields | changes))


def a_queued_run(run_id: str = "run-2", **changes: Any) -> AgentRun:
    return a_run(run_id, **({"status": RunStatus.QUEUED, "started_at": None} | changes))


def a_request(message: str = "hello") -> RunRequest:
    return RunRequest(message=message)


def completed(output: str = "hi", last_event_id: int = 4, **changes: Any) -> Completed:
    return Completed(
        output=output, metrics=Metrics(total_tokens=7), last_event_id=last_event_id, **changes
    )


def failed(last_event_id: int = 3) -> Failed:
    return Failed(
        output="so far",
        metrics=Metrics(duration_ms=12, cost_usd=0.00125),
        last_event_id=last_event_id,
        error_type="MODEL_ERROR",
        error_message="The model failed.",
    )


def paused(last_event_id: int = 5, **changes: Any) -> PausedForDecision:
    call = PendingApproval(id="c1", tool="t", tool_name="place_order", arguments={"n": 10})
    fields: dict[str, Any] = {
        "output": "so far",
        "metrics": Metrics(total_tokens=3),
        "last_event_id": last_event_id,
        "required_action": Paused(approval_id=f"run-1.{last_event_id}", approvals=(call,)),
        "checkpoint": Checkpoint(request=a_request(), state='{"calls": ["c1"]}'),
        "paused_until": PAUSED_UNTIL,
    }
    return PausedForDecision(**(fields | changes))


def deltas(first: int, last: int) -> list[RecordedEvent]:
    return [
        RecordedEvent(id=number, timestamp_ms=1_000 + number, event=ContentDelta(text=f"{number} "))
        for number in range(first, last + 1)
    ]
