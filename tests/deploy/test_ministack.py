"""The stack deployed by `sam deploy`, then called from outside, on a stand-in for AWS."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.sqs.run_queue import SqsRunQueue
from agentrun.domain.runs import Lease, RunStatus
from agentrun_local.cli import main
from agentrun_local.smoke.command import SmokeError, stack_doors
from agentrun_local.smoke.suite import CHECKS, slug
from agentrun_local.smoke.target import Door
from tests.contract.test_token_verifier import token
from tests.deploy.artefacts import FUNCTIONS, Artefacts
from tests.deploy.rehearsal import (
    PYTHON,
    REGION,
    ROOT_USER,
    STACK,
    Answer,
    DeployedStack,
    deploy,
    issuer,
    ministack,
)
from tests.e2e.conftest import wait_until
from tests.runs import EXECUTOR, a_request, a_run
from tests.translated_template import stack as translated

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not PYTHON.exists(),
        reason="ministack is not installed; `make rehearse` does it where there is a Python 3.13",
    ),
]
RUNS = "/api/agents/echo/runs"
AT_ONCE = {"MaximumConcurrency": 10}


@dataclass(frozen=True)
class Rehearsal:
    """The deployed stack and somebody who calls it."""

    stack: DeployedStack
    token: str

    def run(self, message: str) -> Answer:
        return self.stack.function_url(f"{RUNS}/stream", self.token, {"message": message})

    def get(self, path: str) -> Any:
        answer = self.stack.rest(path, self.token)
        assert answer.status == 200, answer.body
        return answer.json()


@pytest.fixture(scope="module")
def rehearsal(built: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    scratch = tmp_path_factory.mktemp("ministack")
    with issuer() as issuer_url, ministack(scratch) as endpoint:
        stack = deploy(built, endpoint, issuer_url, scratch)
        mend_for_the_stand_in(stack)
        yield Rehearsal(stack, token(iss=issuer_url))


def mend_for_the_stand_in(stack: DeployedStack) -> None:
    """Change two things that stand between this stack and a stand-in without TLS."""
    s3, name = stack.client("s3"), stack.outputs()["BucketName"]
    # It refuses the functions themselves, as they come without TLS.
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=name)["Policy"]
    s3.delete_bucket_policy(Bucket=name)
    # A parameter's number stays a text, and then nothing is polled.
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
    assert mapping["ScalingConfig"] == AT_ONCE
    functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=AT_ONCE)


@pytest.fixture(scope="module")
def stack(rehearsal: Rehearsal) -> DeployedStack:
    return rehearsal.stack


def events(answer: Answer) -> list[dict[str, Any]]:
    lines = answer.body.split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def role_of(stack: DeployedStack, function: str) -> str:
    return stack.physical_id(f"{function}Role")


def test_every_resource_of_the_template_is_there(stack: DeployedStack) -> None:
    done = {r["LogicalResourceId"]: r["ResourceStatus"] for r in stack.resources()}
    assert set(done.values()) == {"CREATE_COMPLETE"}
    kinds = {
        said["Type"]
        for said in translated()["Resources"].values()
        # Off, as by default; tests/deploy/test_playground.py switches the second one on.
        if said.get("Condition") not in {"UsesSnapStart", "HasPlayground"}
    }
    assert {r["ResourceType"] for r in stack.resources()} == kinds


def test_health_needs_no_token(stack: DeployedStack) -> None:
    answer = stack.rest("/api/v1/health")
    assert (answer.status, answer.json()) == (200, {"status": "UP"})


def test_without_a_good_token_there_is_no_answer(stack: DeployedStack) -> None:
    assert stack.rest("/api/agents").status == 401
    assert stack.rest("/api/agents", token(iss="https://another.test")).status == 401


def test_the_agents_are_listed_to_whom_the_issuer_vouches_for(rehearsal: Rehearsal) -> None:
    agents = rehearsal.get("/api/agents")
    assert {"docs_assistant", "echo"} <= {agent["id"] for agent in agents}


def test_a_streamed_run_goes_from_start_to_stop(rehearsal: Rehearsal) -> None:
    answer = rehearsal.run("one two three")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    types = [event["event"] for event in events(answer)]
    assert (types[0], types[-2:]) == ("START", ["METRICS", "STOP"])


def test_the_function_url_refuses_whom_the_authorizer_would(stack: DeployedStack) -> None:
    answer = stack.function_url(f"{RUNS}/stream", None, {"message": "hi"})
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_the_agents_own_documents_are_shipped(rehearsal: Rehearsal) -> None:
    path = "/api/agents/docs_assistant/runs/stream"
    body = {"message": "How do I deploy?"}
    answer = rehearsal.stack.function_url(path, rehearsal.token, body)
    (found,) = (e["data"] for e in events(answer) if e["event"] == "TOOL_END")
    assert json.loads(found)["result"]


def test_what_was_streamed_is_what_the_status_tells(rehearsal: Rehearsal) -> None:
    run_id = rehearsal.run("four five").headers["x-run-id"]
    run = rehearsal.get(f"{RUNS}/{run_id}")
    assert (run["status"], run["output"]) == ("COMPLETED", "four five")


def test_a_batch_tells_the_runs_in_the_order_asked(rehearsal: Rehearsal) -> None:
    first, second = (rehearsal.run(text).headers["x-run-id"] for text in ("six", "seven"))
    runs = rehearsal.get(f"{RUNS}/status?runIds={second},unknown,{first}")
    assert [(run["id"], run["output"]) for run in runs] == [(second, "seven"), (first, "six")]


def test_a_run_is_in_the_table_under_its_tenant(rehearsal: Rehearsal) -> None:
    run_id = rehearsal.run("eight").headers["x-run-id"]
    table = rehearsal.stack.outputs()["TableName"]
    found = rehearsal.stack.client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"ORG#acme#RUN#{run_id}"}},
    )["Items"]
    kinds = {item["sk"]["S"].split("#")[0]: item for item in found}
    assert {"RUN", "EV"} <= set(kinds)
    assert int(kinds["EV"]["ttl"]["N"]) > datetime.now(UTC).timestamp()


def test_an_abandoned_run_is_ended_with_the_rights_of_the_status_function(
    rehearsal: Rehearsal,
) -> None:
    client = rehearsal.stack.client("dynamodb")
    store = DynamoRunStore(Table(client, rehearsal.stack.outputs()["TableName"]))
    begun = datetime.now(UTC) - timedelta(minutes=5)
    lease = Lease(executor=EXECUTOR, until=begun + timedelta(seconds=15))
    run = a_run("abandoned", created_at=begun, updated_at=begun, started_at=begun, lease=lease)
    store.start(run, a_request())
    told = rehearsal.get(f"{RUNS}/abandoned")
    assert (told["status"], told["errorType"]) == ("FAILED", "LEASE_EXPIRED")


def test_the_table_has_its_keys_and_its_index(stack: DeployedStack) -> None:
    table = stack.client("dynamodb").describe_table(TableName=stack.outputs()["TableName"])["Table"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["Projection"]["ProjectionType"]) == ("sessions", "KEYS_ONLY")


def test_a_function_logs_into_its_group_that_forgets(rehearsal: Rehearsal) -> None:
    rehearsal.run("nine")
    logs = rehearsal.stack.client("logs")
    prefix = f"/agentrun/{STACK}/"
    groups = logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    assert {group["logGroupName"].removeprefix(prefix) for group in groups} == {
        *("stream", "status", "worker", "authorizer", "api"),
    }
    assert {group["retentionInDays"] for group in groups} == {30}
    written = logs.filter_log_events(logGroupName=f"{prefix}stream")["events"]
    assert any("RunsCompleted" in event["message"] for event in written)


def test_the_functions_have_their_policies_and_no_more(stack: DeployedStack) -> None:
    iam = stack.client("iam")
    granted = {
        function: {
            action
            for name in iam.list_role_policies(RoleName=role_of(stack, function))["PolicyNames"]
            for said in iam.get_role_policy(RoleName=role_of(stack, function), PolicyName=name)[
                "PolicyDocument"
            ]["Statement"]
            for action in ([said["Action"]] if isinstance(said["Action"], str) else said["Action"])
        }
        for function in FUNCTIONS
    }
    assert "bedrock:InvokeModelWithResponseStream" in granted["StreamFunction"]
    assert "dynamodb:BatchGetItem" in granted["StatusFunction"]
    assert "sqs:ChangeMessageVisibility" in granted["WorkerFunction"]
    assert granted["AuthorizerFunction"] == set()


def test_the_policies_are_in_force(stack: DeployedStack) -> None:
    role = stack.client("iam").get_role(RoleName=role_of(stack, "StatusFunction"))["Role"]
    given = stack.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="rehearsal")
    client = stack.client(
        "dynamodb",
        aws_access_key_id=given["Credentials"]["AccessKeyId"],
        aws_secret_access_key=given["Credentials"]["SecretAccessKey"],
        aws_session_token=given["Credentials"]["SessionToken"],
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        client.scan(TableName=stack.outputs()["TableName"])


def test_the_queue_has_its_dead_letters_and_waits_for_the_worker(stack: DeployedStack) -> None:
    sqs, outputs = stack.client("sqs"), stack.outputs()
    told = {
        name: sqs.get_queue_attributes(QueueUrl=outputs[name], AttributeNames=["All"])["Attributes"]
        for name in ("RunQueueUrl", "RunDeadLettersUrl")
    }
    queue, letters = told.values()
    assert queue["VisibilityTimeout"] == "900"
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": letters["QueueArn"],
        "maxReceiveCount": 20,
    }
    (mapping,) = stack.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert mapping["EventSourceArn"] == queue["QueueArn"]
    assert (mapping["BatchSize"], mapping["State"]) == (1, "Enabled")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_bucket_is_private_and_encrypted(stack: DeployedStack) -> None:
    s3, name = stack.client("s3"), stack.outputs()["BucketName"]
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert set(access.values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_a_message_makes_a_worker_execute_the_run_that_it_names(rehearsal: Rehearsal) -> None:
    stack = rehearsal.stack
    now = datetime.now(UTC)
    new = a_run(
        "in-the-background",
        session_id="the-session-of-the-background",
        created_at=now,
        updated_at=now,
        lease=Lease(executor=EXECUTOR, until=now),
        max_attempts=3,
    )
    run = new.in_background()
    store = DynamoRunStore(Table(stack.client("dynamodb"), stack.outputs()["TableName"]))
    store.start(run, a_request())
    queue = SqsRunQueue(lambda: stack.client("sqs"), stack.outputs()["RunQueueUrl"])
    queue.send(run.key)
    # Its process imports everything first, on a machine that is busy.
    wait_until(lambda: store.get(run.key).status is RunStatus.COMPLETED, "the end", within_s=90)
    assert rehearsal.get(f"{RUNS}/{run.id}")["output"] == "hello"


def test_dead_letters_are_sent_back_by_the_name_of_the_stack(
    stack: DeployedStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**ROOT_USER, "AWS_ENDPOINT_URL": stack.endpoint}.items():
        monkeypatch.setenv(name, value)
    sqs, letters = stack.client("sqs"), stack.outputs()["RunDeadLettersUrl"]
    sqs.send_message(QueueUrl=letters, MessageBody='{"tenant": "acme", "runId": "nobody"}')
    assert main(["redrive", "--stack", STACK, "--region", REGION]) == 0
    assert capsys.readouterr().out.endswith(" acme nobody\n1 letter moved\n")
    assert "Messages" not in sqs.receive_message(QueueUrl=letters)


ONE_PIECE = "it calls the function as a plain one, so an answer comes in one piece"
NO_STREAMS = "it has no streaming integrations, and answers 500 at their paths"
NO_GATEWAY_RESPONSES = (
    "it answers in its own words and headers where API Gateway has the template's"
)
UNPACKED = "a HEAD loses the packed answer, from which the door is made"
NOT_HERE = {
    **dict.fromkeys(("start-first@url", "frames-one-by-one@url", "cancel@url"), ONE_PIECE),
    "re-attach@url": ONE_PIECE,
    **dict.fromkeys(("start-first@rest", "frames-one-by-one@rest", "cancel@rest"), NO_STREAMS),
    **dict.fromkeys(("re-attach@rest", "replay@rest", "204-ends@rest"), NO_STREAMS),
    **dict.fromkeys(("error-ends@rest", "header-names@rest", "model@rest"), NO_STREAMS),
    **dict.fromkeys(("refused-token@rest", "head-ends@rest"), NO_GATEWAY_RESPONSES),
    "cors-preflight@rest": NO_GATEWAY_RESPONSES,
    "head-ends@url": UNPACKED,
}
"""Points of `agentrun smoke` that cannot hold on the stand-in, and why."""


def smoke(rehearsal: Rehearsal, skipped: Iterable[str]) -> int:
    skip = [word for name in skipped for word in ("--skip", name)]
    with rehearsal.stack.doors() as (rest, url):
        where = ("--base-url", rest, "--function-url", url, "--token", rehearsal.token)
        return main(["smoke", *where, "--model-agent", "docs_assistant", *skip, "--json"])


def test_smoke_finds_what_can_hold_here_and_nothing_that_fails(
    rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]
) -> None:
    status = smoke(rehearsal, NOT_HERE)
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check for check in checks if check["outcome"] == "fails"] == []
    held = {f"{check['check']}@{check['door']}" for check in checks if check["outcome"] == "holds"}
    all_points = {f"{slug(check)}@{door}" for check in CHECKS for door in check.doors}
    on_request = {"status-at-limit@rest", "long-stream@rest", "long-stream@url"}
    assert held == all_points - set(NOT_HERE) - on_request
    assert status == 0


def test_smoke_finds_that_the_stand_in_does_not_stream(
    rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke(rehearsal, set(NOT_HERE) - {"frames-one-by-one@url"}) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    (failed,) = (check for check in checks if check["outcome"] == "fails")
    assert failed["seen"].startswith("9 of 9 came together")


def test_smoke_finds_both_doors_by_the_name_of_the_stack(
    stack: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ROOT_USER, "AWS_ENDPOINT_URL": stack.endpoint}.items():
        monkeypatch.setenv(name, value)
    outputs = stack.outputs()
    assert stack_doors(STACK, REGION) == {
        Door.REST: outputs["RestApiBaseUrl"],
        Door.URL: outputs["FunctionUrlBase"],
    }
    with pytest.raises(SmokeError, match="the outputs of the stack 'another' cannot be read"):
        stack_doors("another", REGION)


def test_when_the_stack_is_deleted_the_table_and_the_bucket_stay(stack: DeployedStack) -> None:
    """The last one in this file: the others need the stack."""
    table, bucket = stack.outputs()["TableName"], stack.outputs()["BucketName"]
    stack.sam("delete", "--no-prompts", "--stack-name", STACK)
    functions = stack.client("lambda")
    assert functions.list_functions()["Functions"] == []
    assert functions.list_layers()["Layers"] == []
    assert stack.client("dynamodb").list_tables()["TableNames"] == [table]
    assert bucket in {one["Name"] for one in stack.client("s3").list_buckets()["Buckets"]}
    assert stack.client("sqs").list_queues().get("QueueUrls", []) == []
