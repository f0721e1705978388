"""Lists of runs and approvals through the status function, as API Gateway calls it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.events import Paused, PendingApproval, RecordedEvent
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import AgentRun
from agentrun.domain.value import epoch_ms, iso_milliseconds
from agentrun.service.starting.slots import slot_of
from tests.integration.conftest import Handler, event_file
from tests.integration.gateway import Talk, talker
from tests.runs import EXECUTOR, failed, paused
from tests.tables import TABLE, client_of

LAMBDA_LIMIT_BYTES = 6_291_556
"""What Lambda says in its refusal of a larger answer."""
RUNS, PENDING = "/api/v1/runs", "/api/v1/approvals/pending"


def of_run(name: str, run_id: str) -> dict[str, Any]:
    """Return the payload of this file for this run."""
    event = event_file(name)
    wanted = event["path"].split("/")[4].partition(".")[0]
    renamed: dict[str, Any] = json.loads(json.dumps(event).replace(wanted, run_id))
    return renamed


def ids(page: dict[str, Any]) -> list[str]:
    return [run["id"] for run in page["content"]]


def pause(store: DynamoRunStore, run: AgentRun, size: int = 1) -> AgentRun:
    """Pause a run by its twelfth event, as the payloads have it."""
    at = SystemClock().now()
    arguments = {"text": "x" * size}
    call = PendingApproval(id="c1", tool="t", tool_name="place_order", arguments=arguments)
    asked = Paused(approval_id=f"{run.id}.12", approvals=(call,))
    outcome = paused(12, required_action=asked, paused_until=at + timedelta(days=1))
    said = RecordedEvent(id=12, timestamp_ms=epoch_ms(at), event=asked)
    DynamoEventLog(Table(client_of(), TABLE)).append(run.key, [said], at=at)
    return store.finish(run.key, EXECUTOR, outcome, at=at)


def test_runs_are_listed_and_shown_without_their_agent(
    handler: Handler, store: DynamoRunStore
) -> None:
    dora, talk = talker(handler, "dora"), Talk(store, "dora")
    assert dora.get(RUNS) == (200, {"content": [], "size": 20})
    for number in range(1, 4):
        talk.turn(f"dora-{number}", f"question {number}")
    status, page = dora.get(RUNS, size=["2"], cursor=[""], status=[""], agentId=[""])
    assert (status, ids(page), page["size"]) == (200, ["dora-3", "dora-2"], 2)
    talk.turn("dora-4")
    _, rest = dora.get(RUNS, size=["2"], cursor=[page["nextCursor"]])
    assert rest.pop("content") == [dora.get("/api/agents/echo/runs/dora-1")[1]]
    assert rest == {"size": 2}
    assert dora.call(of_run("get-run-of-any-agent.json", "dora-1")) == dora.get(
        "/api/agents/echo/runs/dora-1"
    )


def test_a_list_has_what_was_asked_for(handler: Handler, store: DynamoRunStore) -> None:
    eve, talk, other = talker(handler, "eve"), Talk(store, "eve"), Talk(store, "eve", later_s=9)
    talk.turn("eve-1")
    talk.turn("eve-2", outcome=failed())
    other.turn("eve-3")
    assert ids(eve.get(RUNS, status=["COMPLETED"])[1]) == ["eve-3", "eve-1"]
    assert ids(eve.get(RUNS, sessionId=[talk.id])[1]) == ["eve-2", "eve-1"]
    assert ids(eve.get(RUNS, sessionId=[talk.id], status=["FAILED"])[1]) == ["eve-2"]
    assert ids(eve.get(RUNS, agentId=["clerk"])[1]) == []
    status, listed = eve.call(event_file("list-runs.json"))
    assert (status, listed) == (200, {"content": [], "size": 20})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "DONE"),
        ("size", "0"),
        ("size", "101"),
        ("cursor", "made-up"),
        ("userId", "x" * 257),
    ],
)
def test_a_parameter_that_means_nothing_is_refused(
    handler: Handler, store: DynamoRunStore, name: str, value: str
) -> None:
    status, problem = talker(handler, "dora").get(RUNS, **{name: [value]})
    assert (status, problem["type"]) == (400, "urn:problem-type:invalid-request")
    assert [param["name"] for param in problem["invalidParams"]] == [name]


def test_what_is_under_way_is_found_by_its_slot(handler: Handler, store: DynamoRunStore) -> None:
    finn = talker(handler, "finn", orgId="acme")
    root = talker(handler, "root", roles="admin")
    quota = DynamoRunQuota(Table(client_of(), TABLE), RunLimits())
    running = Talk(store, "finn", later_s=3600).begin("finn-1")
    quota.take(slot_of(running), at=SystemClock().now())
    Talk(store, "finn").turn("finn-2")
    assert ids(finn.get(RUNS, status=["RUNNING"])[1]) == ["finn-1"]
    _, seen = root.get(RUNS, size=["100"])
    assert "finn-1" in ids(seen)
    assert "finn-2" not in ids(seen)
    assert "finn-2" in ids(root.get(RUNS, userId=["finn"])[1])
    writer = talker(handler, "finn", scope="runs:write")
    assert writer.call(of_run("cancel-run-of-any-agent.json", "finn-1")) == (204, None)
    assert store.get_state(running.key).cancel_requested


def test_a_run_that_waits_is_listed_until_it_is_cancelled(
    handler: Handler, store: DynamoRunStore
) -> None:
    gina = talker(handler, "gina")
    run = pause(store, Talk(store, "gina", later_s=3600).begin("gina-1"))
    status, page = gina.call(event_file("pending-approvals.json"))
    (listed,) = page["content"]
    assert (status, page["size"]) == (200, 20)
    assert listed == {
        "approvalId": "gina-1.12",
        "runId": "gina-1",
        "agentId": "echo",
        "sessionId": run.session_id,
        "type": "TOOL_APPROVAL",
        "approvals": [
            {"id": "c1", "tool": "t", "toolName": "place_order", "arguments": {"text": "x"}}
        ],
        "createdAt": iso_milliseconds(run.updated_at),
        "expiresAt": iso_milliseconds(run.paused_until or run.updated_at),
        "status": "PENDING",
    }
    assert gina.call(of_run("get-approval.json", "gina-1")) == (200, listed)
    assert ids(gina.get(RUNS, status=["PAUSED"])[1]) == ["gina-1"]
    store.request_cancel(run.key, at=SystemClock().now())
    assert gina.get(PENDING)[1]["content"] == []
    assert gina.get("/api/v1/approvals/gina-1.12")[1]["status"] == "EXPIRED"
    assert ids(gina.get(RUNS, status=["CANCELLED"])[1]) == ["gina-1"]


def test_a_page_of_large_calls_fits_into_one_answer(
    handler: Handler, store: DynamoRunStore
) -> None:
    hugo = talker(handler, "hugo")
    for number in range(30):
        # Compressed, as they are stored, they are small.
        run = Talk(store, "hugo", later_s=3600 + number / 10).begin(f"hugo-{number}")
        pause(store, run, size=300_000)
    status, page = hugo.get(PENDING, size=["100"])
    assert (status, len(page["content"])) == (200, 30)
    assert hugo.size_bytes <= LAMBDA_LIMIT_BYTES
    left_out = [one for one in page["content"] if "approvals" not in one]
    assert 0 < len(left_out) < 30


def test_a_deleted_sessions_runs_vanish(handler: Handler, store: DynamoRunStore) -> None:
    ivan, talk = talker(handler, "ivan", scope="runs:write"), Talk(store, "ivan")
    talk.turn("ivan-1")
    pause(store, Talk(store, "ivan", later_s=3600).begin("ivan-2"))
    (waiting,) = ivan.get(PENDING)[1]["content"]
    for session in (talk.id, waiting["sessionId"]):
        assert ivan.send("DELETE", f"/api/sessions/{session}") == (204, None)
    assert ivan.get(RUNS)[1]["content"] == ivan.get(PENDING)[1]["content"] == []
    assert ivan.get(f"/api/v1/approvals/{waiting['approvalId']}")[0] == 404
