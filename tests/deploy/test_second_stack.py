"""Several stacks in one account: one sets the role for access logs, the others leave it alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrun_project.creating import create_project
from tests.contract.test_token_verifier import token
from tests.deploy.artefacts import ARCHITECTURE, Artefacts
from tests.deploy.rehearsal import (
    PYTHON,
    REGION,
    DeployedStack,
    deploy,
    issuer,
    ministack,
)
from tests.documented import ROOT, blocks_of

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not PYTHON.exists(),
        reason="ministack is not installed; `make rehearse` does it where there is a Python 3.13",
    ),
]
STACKS = {"create": "agentrun", "existing": "agentrun-second", "none": "agentrun-third"}
"""In the order in which they are deployed, by their `ApiGatewayLogging`."""
RESERVING = {"StatusConcurrency": "20", "StreamConcurrency": "40", "DetailedApiMetrics": "true"}


class Account:
    """An account with a stack for each value of `ApiGatewayLogging`; notes its role after each."""

    def __init__(self, built: Artefacts, endpoint: str, issuer_url: str, scratch: Any) -> None:
        self.token = token(iss=issuer_url)
        self.stacks: dict[str, DeployedStack] = {}
        self.role_after: dict[str, str | None] = {}
        for value, name in STACKS.items():
            if value == "create":
                stack, self.said = deploy_by_agentrun(built, endpoint, issuer_url, scratch)
            else:
                changes = {"ApiGatewayLogging": value} | (RESERVING if value == "existing" else {})
                stack = deploy(built, endpoint, issuer_url, scratch, name=name, **changes)
            self.stacks[value] = stack
            self.role_after[value] = role_of_the_account(stack)


def deploy_by_agentrun(
    built: Artefacts, endpoint: str, issuer_url: str, scratch: Path
) -> tuple[DeployedStack, str]:
    """
    Deploy the first stack by `agentrun deploy`, with the documented rights and no others.

    It finds out that the account has no role for access logs.
    """
    project = scratch / "first"
    create_project(project, STACKS["create"])
    (project / ".aws-sam").symlink_to(built.project / ".aws-sam")
    stack = DeployedStack(endpoint, project, scratch / "agentrun.yaml")
    rights = deployer(stack)
    given = {
        "Issuer": issuer_url,
        "Audience": "agentrun",
        "OrgClaim": "org",
        "Model": "demo",
        "OtherProviders": "true",
        "Architecture": ARCHITECTURE,
    }
    command = [
        *(sys.executable, "-m", "agentrun_local.cli", "deploy", "--no-build"),
        *(w for name, value in given.items() for w in ("--parameter", f"{name}={value}")),
    ]
    environment = {
        **os.environ,
        **rights,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "HOME": str(scratch),
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    # It makes SAM's bucket, whose policy wants TLS, which nothing here has.
    first = run()
    assert "with an explicit deny in a resource-based policy" in first.stderr
    s3 = stack.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        s3.delete_bucket_policy(Bucket=bucket["Name"])
    done = run()
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return stack, first.stdout + done.stdout


def deployer(stack: DeployedStack) -> dict[str, str]:
    """Make a user with the first policy of docs/deploy.md; return the variables to be that user."""
    policy, _ = (
        block.text for block in blocks_of(ROOT / "docs/deploy.md", "json") if '"Sid"' in block.text
    )
    account = stack.client("sts").get_caller_identity()["Account"]
    iam = stack.client("iam")
    iam.create_user(UserName="deployer")
    document = policy.replace("ACCOUNT_ID", account)
    made = iam.create_policy(PolicyName="deployer", PolicyDocument=document)["Policy"]
    iam.attach_user_policy(UserName="deployer", PolicyArn=made["Arn"])
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def role_of_the_account(stack: DeployedStack) -> str | None:
    found: str | None = stack.client("apigateway").get_account().get("cloudwatchRoleArn")
    return found


def stage_of(stack: DeployedStack) -> dict[str, Any]:
    found: dict[str, Any] = stack.client("apigateway").get_stage(
        restApiId=stack.physical_id("Api"), stageName="live"
    )
    return found


@pytest.fixture(scope="module")
def account(built: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    scratch = tmp_path_factory.mktemp("account")
    with issuer() as issuer_url, ministack(scratch) as endpoint:
        yield Account(built, endpoint, issuer_url, scratch)


def test_agentrun_deploy_says_where_the_stack_is_and_chooses_the_role(account: Account) -> None:
    outputs = account.stacks["create"].outputs()
    assert f"REST API      {outputs['RestApiBaseUrl']}" in account.said
    assert f"Function URL  {outputs['FunctionUrlBase']}" in account.said
    assert "this stack sets one" in account.said


@pytest.mark.parametrize("value", STACKS)
def test_every_value_deploys_whole_and_answers(account: Account, value: str) -> None:
    stack = account.stacks[value]
    assert {found["ResourceStatus"] for found in stack.resources()} == {"CREATE_COMPLETE"}
    assert stack.rest("/api/agents", account.token).status == 200
    answer = stack.function_url("/api/agents/echo/runs/stream", account.token, {"message": "hi"})
    assert (answer.status, '"STOP"' in answer.body) == (200, True)


def test_the_first_stack_sets_the_role_and_the_others_leave_it_alone(account: Account) -> None:
    first = account.stacks["create"]
    role = first.client("iam").get_role(RoleName=first.physical_id("ApiGatewayLoggingRole"))["Role"]
    assert set(account.role_after.values()) == {role["Arn"]}
    for value in ("existing", "none"):
        kinds = {found["ResourceType"] for found in account.stacks[value].resources()}
        assert "AWS::ApiGateway::Account" not in kinds


@pytest.mark.parametrize(("value", "writes"), [("create", 1), ("existing", 1), ("none", 0)])
def test_access_logs_have_a_group_where_they_are_written(
    account: Account, value: str, writes: int
) -> None:
    """That the stage names it is for tests/unit/test_template.py: the stand-in does not read it."""
    stack = account.stacks[value]
    prefix = f"/agentrun/{stack.name}/"
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    names = {group["logGroupName"].removeprefix(prefix) for group in groups}
    assert names == {"stream", "status", "worker", "authorizer", *(["api"] * writes)}


@pytest.mark.parametrize(("value", "detailed"), [("create", False), ("existing", True)])
def test_metrics_by_method_are_counted_only_where_they_are_wanted(
    account: Account, value: str, detailed: bool
) -> None:
    settings = stage_of(account.stacks[value])["methodSettings"]
    assert [found["metricsEnabled"] for found in settings.values()] == [detailed]
