"""The status function and the authorizer, called as Lambda calls them."""

import time
from threading import Thread

import pytest
from awslambdaric.lambda_runtime_exception import FaultException  # type: ignore[import-untyped] # no stubs exist

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from tests.contract.test_token_verifier import token
from tests.integration.conftest import AppModule, Handler, event_file
from tests.integration.gateway import Gateway, alive
from tests.runs import EXECUTOR, a_request, a_run, completed, deltas
from tests.tables import TABLE, client_of


@pytest.fixture
def ana(handler: Handler) -> Gateway:
    return Gateway(handler)


def test_a_run_is_shown_as_stored(ana: Gateway, store: DynamoRunStore) -> None:
    run = alive("shown", session_id="s1")
    store.start(run, a_request())
    status, body = ana.get("/api/agents/echo/runs/shown/status")
    assert status == 200
    assert ana.get("/api/agents/echo/runs/shown") == (status, body)
    assert body["createdAt"].endswith("Z")
    del body["createdAt"], body["updatedAt"], body["startedAt"]
    assert body == {
        "id": "shown",
        "agentId": "echo",
        "sessionId": "s1",
        "userId": "ana",
        "orgId": "acme",
        "status": "RUNNING",
        "input": "hello",
        "model": "demo",
        "attempt": 1,
        "version": 1,
    }


def test_a_read_starts_no_thread(
    ana: Gateway, store: DynamoRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.start(alive("polled", session_id="polled"), a_request())
    started, start = [], Thread.start

    def note(thread: Thread) -> None:
        started.append(thread.name)
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", note)
        assert ana.get("/api/agents/echo/runs/polled/status")[0] == 200
        assert ana.get("/api/agents/echo/runs/status", runIds=["polled"])[0] == 200
        assert ana.get("/api/sessions/polled/messages")[0] == 200
        assert ana.get("/api/agents")[0] == 200
    # The table is served by threads of this same process, one for each connection.
    assert not [name for name in started if "AnyIO" in name or "repair" in name]


def test_a_two_megabyte_output_is_returned_whole(ana: Gateway, store: DynamoRunStore) -> None:
    output = "é🙂 \u2028\r\n" * 166_667
    run = alive("large", session_id="s2")
    store.start(run, a_request())
    store.finish(run.key, EXECUTOR, completed(output), at=SystemClock().now())
    assert len(output.encode()) > 2_000_000
    status, body = ana.get("/api/agents/echo/runs/large")
    assert (status, body["status"]) == (200, "COMPLETED")
    assert body["output"] == output


def test_a_dead_run_is_failed_for_every_reader(ana: Gateway, store: DynamoRunStore) -> None:
    run = a_run("dead", session_id="s3")
    store.start(run, a_request())
    DynamoEventLog(Table(client_of(), TABLE)).append(run.key, deltas(1, 3), at=SystemClock().now())
    _, single = ana.get("/api/agents/echo/runs/dead")
    _, batch = ana.get("/api/agents/echo/runs/status", runIds=["dead"])
    assert (single["status"], single["errorType"]) == ("FAILED", "LEASE_EXPIRED")
    assert batch == [single]


def test_a_batch_of_a_hundred_is_one_read(
    ana: Gateway, store: DynamoRunStore, app_module: AppModule
) -> None:
    for number in range(100):
        store.start(alive(f"batch-{number}", session_id=f"s4-{number}"), a_request())
    ids = ",".join(f"batch-{number}" for number in range(100))
    status, body = ana.get("/api/agents/echo/runs/status", runIds=[ids])
    assert (status, len(body)) == (200, 100)
    assert [run["id"] for run in body] == ids.split(",")


def test_what_is_not_the_callers_is_absent(ana: Gateway, store: DynamoRunStore) -> None:
    store.start(alive("mine", session_id="s5"), a_request())
    store.start(alive("bobs", session_id="s6", user_id="bob"), a_request())
    store.start(alive("theirs", session_id="s7", org_id="umbrella"), a_request())
    store.start(alive("analysts", session_id="s8", agent_id="analyst"), a_request())
    asked = ["mine,bobs,theirs", "analysts,nothing", "a#b", "mine"]
    _, body = ana.get("/api/agents/echo/runs/status", runIds=asked)
    assert [run["id"] for run in body] == ["mine"]


def test_a_summary_leaves_the_texts_out(ana: Gateway, store: DynamoRunStore) -> None:
    store.start(alive("brief", session_id="s9"), a_request())
    query = {"runIds": ["brief"], "fields": ["summary"]}
    _, body = ana.get("/api/agents/echo/runs/status", **query)
    assert body[0]["status"] == "RUNNING"
    assert {"input", "output"}.isdisjoint(body[0])


def test_cancelling_leaves_a_mark_for_the_executor_and_may_be_repeated(
    handler: Handler, store: DynamoRunStore
) -> None:
    writer = Gateway(handler, scope="runs:read runs:write")
    run = alive("cancelled", session_id="s10")
    store.start(run, a_request())
    assert writer.send("DELETE", "/api/agents/echo/runs/cancelled") == (204, None)
    assert writer.send("DELETE", "/api/agents/echo/runs/cancelled") == (204, None)
    assert store.get_state(run.key).cancel_requested
    store.finish(run.key, EXECUTOR, completed(), at=SystemClock().now())
    assert writer.send("DELETE", "/api/agents/echo/runs/cancelled") == (204, None)
    assert store.get_state(run.key).status == "COMPLETED"


def test_cancelling_needs_the_scope(ana: Gateway, store: DynamoRunStore) -> None:
    store.start(alive("kept", session_id="s11"), a_request())
    assert ana.send("DELETE", "/api/agents/echo/runs/kept")[0] == 403
    assert not store.get_state(alive("kept").key).cancel_requested


@pytest.mark.parametrize("values", [[""], [",,"], ["", ","]])
def test_a_batch_of_nothing_is_empty(ana: Gateway, values: list[str]) -> None:
    assert ana.get("/api/agents/echo/runs/status", runIds=values) == (200, [])


def test_agents_are_listed_without_loading_the_engine(ana: Gateway) -> None:
    status, agents = ana.get("/api/agents")
    assert status == 200
    ids = [agent["id"] for agent in agents]
    assert ids == sorted(ids)
    assert {"analyst", "docs_assistant", "echo", "finance_agent"} <= set(ids)
    assert all(agent["agentId"] == agent["id"] for agent in agents)
    analyst = agents[ids.index("analyst")]
    assert analyst["isTeam"] is analyst["is_team"] is False
    assert {tool["name"] for tool in analyst["tools"]} >= {"calculate"}
    assert ana.get("/api/agents/analyst") == (200, analyst)


def test_an_unknown_agent_is_a_problem(ana: Gateway) -> None:
    status, problem = ana.get("/api/agents/nobody")
    assert (status, problem["status"]) == (404, 404)
    assert ana.headers["content-type"] == "application/problem+json"


def test_a_cached_policy_does_not_outlive_its_token(handler: Handler) -> None:
    stale = Gateway(handler, exp=str(int(time.time()) - 61))
    status, problem = stale.get("/api/agents")
    assert (status, problem["type"]) == (401, "urn:problem-type:unauthorized")
    assert stale.headers["www-authenticate"] == "Bearer"


def test_a_request_past_the_gateway_is_refused(handler: Handler) -> None:
    event = event_file("list-agents.json")
    del event["requestContext"]["authorizer"]
    assert handler(event, None)["statusCode"] == 401


def test_health_needs_no_token(handler: Handler) -> None:
    answer = handler(event_file("health.json"), None)
    assert (answer["statusCode"], answer["body"]) == (200, '{"status":"UP"}')


FILES = {
    "list-agents.json": 200,
    "get-agent.json": 200,
    "get-run.json": 404,
    "run-status.json": 404,
    "cancel-run.json": 404,
    "batch-status.json": 200,
    "list-sessions.json": 200,
    "get-session.json": 404,
    "session-runs.json": 404,
    "session-messages.json": 404,
    "delete-session.json": 404,
    "health.json": 200,
}


@pytest.mark.parametrize("name", list(FILES))
def test_each_event_file_is_answered(handler: Handler, name: str) -> None:
    assert handler(event_file(name), None)["statusCode"] == FILES[name]


def test_a_good_token_opens_the_whole_stage(app_module: AppModule) -> None:
    event = event_file("authorizer.json")
    policy = app_module("authorizer").handler(event, None)
    statement = policy["policyDocument"]["Statement"][0]
    assert statement["Effect"] == "Allow"
    api, stage, *_ = event["methodArn"].split("/")
    assert statement["Resource"] == f"{api}/{stage}/*"
    assert policy["context"] | {"exp": ""} == {
        "userId": "ana",
        "orgId": "acme",
        "scope": "runs:read runs:write",
        "roles": "admin",
        "exp": "",
    }


@pytest.mark.parametrize("authorization", ["", "Bearer x", f"Basic {token()}", "Bearer "])
def test_a_bad_token_is_unauthorized(app_module: AppModule, authorization: str) -> None:
    event = event_file("authorizer.json") | {"authorizationToken": authorization}
    with pytest.raises(Exception, match=r"^Unauthorized$") as caught:
        app_module("authorizer").handler(event, None)
    # Else AWS's runtime logs a stack trace of it.
    assert isinstance(caught.value, FaultException)
    assert caught.value.msg == "Unauthorized"
    assert caught.value.exception_type.startswith("token refused: ")
