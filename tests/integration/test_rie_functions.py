"""The functions under AWS's own emulator, driven with the events that the repository ships."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

# samtranslator ships no types.
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.approvals import run_of_approval
from agentrun.domain.errors import SessionBusyError
from agentrun.domain.events import Paused
from agentrun.domain.runs import RunKey
from tests.integration import rie
from tests.integration.conftest import ENVIRONMENT, EVENTS, event_file
from tests.integration.gateway import alive
from tests.queues import create_bucket, create_queue, sqs_client_of
from tests.runs import EXECUTOR, a_request, paused
from tests.sse_blocks import blocks
from tests.tables import TABLE, client_of

pytestmark = pytest.mark.skipif(not rie.AVAILABLE, reason="the emulator is a Linux binary")


FIVE_MINUTES = timedelta(minutes=5)


def events_of(function: str) -> list[str]:
    """Name the events whose route the template gives to a function."""
    template = yaml_parse((rie.ROOT / "template.yaml").read_text())
    sources = template["Resources"][function]["Properties"]["Events"].values()
    routes = {(source["Properties"]["Path"], source["Properties"]["Method"]) for source in sources}
    events = {path.name: json.loads(path.read_text()) for path in sorted(EVENTS.glob("*.json"))}
    return [n for n, e in events.items() if (e.get("resource"), e.get("httpMethod")) in routes]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rie")


@pytest.fixture(scope="module")
def environment(dynamodb_url: str) -> dict[str, str]:
    """Return the functions' variables, and a server that has table, queue and bucket."""
    with closing(sqs_client_of(dynamodb_url)) as client:
        create_queue(client)
    create_bucket(dynamodb_url)
    names = ("DYNAMODB", "S3", "SQS")
    return {**ENVIRONMENT, **{f"AWS_ENDPOINT_URL_{name}": dynamodb_url for name in names}}


@pytest.fixture(scope="module")
def store(environment: dict[str, str]) -> DynamoRunStore:
    return DynamoRunStore(Table(client_of(environment["AWS_ENDPOINT_URL_DYNAMODB"]), TABLE))


def emulated(name: str) -> Any:
    """Return a fixture that runs a function under the emulator."""
    command = rie.EXEC_WRAPPER if name == "stream" else rie.MANAGED_RUNTIME

    @pytest.fixture(scope="module", name=name)
    def function(environment: dict[str, str], scratch: Path) -> Iterator[rie.Invoke]:
        folder = rie.FUNCTIONS / name
        with rie.emulated(folder, command, environment=environment, scratch=scratch) as invoke:
            yield invoke

    return function


status, authorizer, stream, worker = map(emulated, ("status", "authorizer", "stream", "worker"))


def answered(payload: bytes) -> tuple[int, Any]:
    """Read the answer of a buffered function: status, and the JSON in its body."""
    answer = json.loads(payload)
    return answer["statusCode"], json.loads(answer["body"])


def streamed(payload: bytes) -> tuple[dict[str, Any], str]:
    """Take a streamed answer apart at the eight NULs: prelude and body."""
    prelude, body = payload.split(bytes(8), 1)
    return json.loads(prelude), body.decode()


def frames(body: str) -> list[dict[str, Any]]:
    """Read the frames of a stream; their ids have to count from 1 without a gap."""
    found = list(blocks(body.encode()))
    assert [block["id"] for block in found] == [str(n) for n in range(1, len(found) + 1)]
    return [json.loads(block["data"]) for block in found]


def run_of(event: dict[str, Any]) -> str:
    """Name the run that an event asks for."""
    run_id: str = event["pathParameters"]["runId"]
    return run_id


@pytest.fixture(scope="module")
def running(store: DynamoRunStore) -> str:
    """Record the run that the status events ask for."""
    event = event_file("get-run.json")
    identity = event["requestContext"]["authorizer"]
    agent_id = event["pathParameters"]["agentId"]
    run = alive(run_of(event), FIVE_MINUTES, agent_id=agent_id, user_id=identity["userId"])
    store.start(run, a_request())
    return run_of(event)


@pytest.fixture(scope="module")
def waiting(store: DynamoRunStore) -> str:
    """Record the approval that its event asks for."""
    event = event_file("get-approval.json")
    approval: str = event["pathParameters"]["approvalId"]
    run_id, event_id = run_of_approval(approval)
    owner = event["requestContext"]["authorizer"]["userId"]
    run = alive(run_id, FIVE_MINUTES, user_id=owner, session_id=str(uuid4()))
    store.start(run, a_request())
    now = SystemClock().now()
    action = Paused(approval_id=approval)
    pause = paused(event_id, required_action=action, paused_until=now + FIVE_MINUTES)
    store.finish(run.key, EXECUTOR, pause, at=now)
    return approval


@pytest.fixture
def conversation(store: DynamoRunStore) -> None:
    """Record a run in the session that the session events ask for, unless there is one."""
    event = event_file("get-session.json")
    session_id = event["pathParameters"]["sessionId"]
    identity = event["requestContext"]["authorizer"]
    owned = {"session_id": session_id, "user_id": identity["userId"]}
    run = alive(f"run-{uuid4()}", FIVE_MINUTES, **owned)
    with suppress(SessionBusyError):
        store.start(run, a_request())


@pytest.mark.parametrize("name", events_of("StatusFunction"))
@pytest.mark.usefixtures("conversation")
def test_the_status_function_answers_every_event_of_its(
    status: rie.Invoke, running: str, waiting: str, name: str
) -> None:
    assert json.loads(status(event_file(name)))["statusCode"] < 300


def test_a_recorded_run_is_found_alone_and_in_a_batch(status: rie.Invoke, running: str) -> None:
    _, run = answered(status(event_file("get-run.json")))
    assert (run["id"], run["status"]) == (running, "RUNNING")
    _, runs = answered(status(event_file("batch-status.json")))
    assert [found["id"] for found in runs] == [running]


def test_the_agents_are_listed(status: rie.Invoke) -> None:
    _, agents = answered(status(event_file("list-agents.json")))
    assert {"docs_assistant", "analyst", "finance_agent", "echo"} <= {a["id"] for a in agents}


def test_another_tenant_sees_nothing_of_the_run(status: rie.Invoke, running: str) -> None:
    event = event_file("get-run.json")
    event["requestContext"]["authorizer"]["orgId"] = "other"
    code, problem = answered(status(event))
    assert (code, problem["type"]) == (404, "urn:problem-type:resource-not-found")


def test_the_authorizer_allows_the_stage(authorizer: rie.Invoke) -> None:
    answer = json.loads(authorizer(event_file("authorizer.json")))
    (statement,) = answer["policyDocument"]["Statement"]
    method_arn: str = event_file("authorizer.json")["methodArn"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == method_arn.removesuffix("GET/api/agents") + "*"
    assert (answer["context"]["userId"], answer["context"]["orgId"]) == ("ana", "acme")


def test_what_the_authorizer_refuses_is_the_gateways_401(authorizer: rie.Invoke) -> None:
    refused = json.loads(authorizer(event_file("authorizer.json", aud="somebody else")))
    assert refused["errorMessage"] == "Unauthorized"


@pytest.mark.parametrize("name", ["stream-run.json", "stream-run-rest.json"])
def test_a_run_is_streamed_from_start_to_stop(stream: rie.Invoke, name: str) -> None:
    prelude, body = streamed(stream(event_file(name)))
    assert prelude["statusCode"] == 200
    assert prelude["headers"]["content-type"] == "text/event-stream; charset=utf-8"
    found = frames(body)
    types = [frame["event"] for frame in found]
    assert types[0] == "START"
    assert types[-2:] == ["METRICS", "STOP"]
    assert types.index("TOOL_START") < types.index("TOOL_END") < types.index("CONTENT_DELTA")
    assert json.loads(found[0]["data"])["runId"] == prelude["headers"]["x-run-id"]


def test_a_run_is_answered_once(stream: rie.Invoke) -> None:
    prelude, body = streamed(stream(event_file("sync-run.json")))
    assert prelude["statusCode"] == 200
    result = json.loads(body)
    assert result["status"] == "COMPLETED"
    assert result["content"]


def test_a_run_in_the_background_is_accepted_at_once(
    stream: rie.Invoke, store: DynamoRunStore
) -> None:
    prelude, body = streamed(stream(event_file("background-run.json")))
    queued = json.loads(body)
    assert (prelude["statusCode"], queued["status"]) == (202, "QUEUED")
    path = f"/api/agents/docs_assistant/runs/{queued['runId']}/status"
    assert prelude["headers"]["location"] == path
    tenant = event_file("background-run.json")["requestContext"]["authorizer"]["orgId"]
    assert store.get(RunKey(tenant=tenant, run_id=queued["runId"])).status == "QUEUED"


def test_what_was_streamed_is_what_the_status_function_tells(
    stream: rie.Invoke, status: rie.Invoke, authorizer: rie.Invoke
) -> None:
    prelude, body = streamed(stream(event_file("stream-run.json")))
    deltas = [f["data"] for f in frames(body) if f["event"] == "CONTENT_DELTA"]
    event = event_file("get-run.json")
    event["path"] = event["path"].replace(run_of(event), prelude["headers"]["x-run-id"])
    context = json.loads(authorizer(event_file("authorizer.json")))["context"]
    event["requestContext"]["authorizer"] = context
    _, run = answered(status(event))
    assert (run["status"], run["output"]) == ("COMPLETED", "".join(deltas))


def test_an_attach_to_what_has_been_read_is_204_and_a_byte(stream: rie.Invoke) -> None:
    event = event_file("stream-run.json")
    prelude, body = streamed(stream(event))
    run_id = prelude["headers"]["x-run-id"]
    event["rawPath"] = event["rawPath"].replace("/stream", f"/{run_id}/stream")
    event["requestContext"]["http"] |= {"method": "GET", "path": event["rawPath"]}
    event["headers"]["last-event-id"] = str(len(frames(body)))
    event["body"] = None
    prelude, body = streamed(stream(event))
    # What a front end makes of it has no body; without the byte it may never end.
    assert (prelude["statusCode"], body) == (204, " ")
    event["headers"]["last-event-id"] = "0"
    prelude, body = streamed(stream(event))
    assert (prelude["statusCode"], frames(body)[-1]["event"]) == (200, "STOP")


def test_a_ticket_opens_the_stream_of_a_run_at_the_function_url(
    stream: rie.Invoke, status: rie.Invoke
) -> None:
    prelude, body = streamed(stream(event_file("stream-run.json")))
    asking, opening = (
        event_file("issue-stream-ticket.json"),
        event_file("attach-run-by-ticket.json"),
    )
    run_id, owner = prelude["headers"]["x-run-id"], {"userId": "ana", "orgId": "acme"}
    asking["path"] = asking["path"].replace(run_of(asking), run_id)
    asking["requestContext"]["authorizer"] |= owner
    code, ticket = answered(status(asking))
    assert code == 201
    url = urlsplit(ticket["url"])
    assert is_refused(stream(opening))
    opening |= {"rawPath": url.path, "rawQueryString": url.query}
    opening["requestContext"]["http"]["path"] = url.path
    prelude, again = streamed(stream(opening))
    assert (prelude["statusCode"], again) == (200, body)
    assert prelude["headers"]["access-control-allow-origin"] == "https://app.example"
    assert is_refused(stream(opening))


def is_refused(payload: bytes) -> bool:
    return bool(streamed(payload)[0]["statusCode"] == 401)


def test_without_a_token_nothing_is_run(stream: rie.Invoke) -> None:
    event = event_file("stream-run.json")
    del event["headers"]["authorization"]
    prelude, body = streamed(stream(event))
    assert prelude["statusCode"] == 401
    assert prelude["headers"]["www-authenticate"] == "Bearer"
    assert json.loads(body)["type"] == "urn:problem-type:unauthorized"


def test_an_agent_that_there_is_not_is_refused_before_the_first_byte(stream: rie.Invoke) -> None:
    event = event_file("stream-run.json")
    event["rawPath"] = event["rawPath"].replace("docs_assistant", "nobody")
    prelude, body = streamed(stream(event))
    assert prelude["statusCode"] == 404
    assert prelude["headers"]["content-type"] == "application/problem+json"
    assert json.loads(body)["type"] == "urn:problem-type:resource-not-found"


def test_the_worker_says_which_messages_have_to_come_again(worker: rie.Invoke) -> None:
    nobodys = event_file("run-message.json")
    (record,) = nobodys["Records"]
    broken = {**record, "messageId": "broken", "body": "{}"}
    answer = json.loads(worker({"Records": [record, broken]}))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "broken"}]}
