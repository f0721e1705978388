"""The rules that the template keeps, on the CloudFormation that SAM makes of it."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from samcli.lib.providers.sam_function_provider import (  # type: ignore[import-untyped] # no stubs
    SamFunctionProvider,
)
from samcli.lib.providers.sam_stack_provider import (  # type: ignore[import-untyped] # no stubs
    SamLocalStackProvider,
)

from agent_catalog.agent_file import MODEL_ID_PATTERN, AgentFile
from agentrun.adapters.dynamo.event_log import RETENTION, SLACK
from agentrun.settings import Settings, WebhookSettings
from agentrun_local.template.cloudformation import Resource, load_resources
from tests.translated_template import ROOT, of_type, properties, stack

FUNCTIONS = (
    *("StreamFunction", "StatusFunction", "WorkerFunction", "WebhookFunction"),
    *("AuthorizerFunction", "PlaygroundFunction"),
)
OWN_KEY = {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
"""A key of the account's own where there is one, else what AWS does by itself."""


def test_every_function_logs_json_into_a_group_that_forgets() -> None:
    for name in FUNCTIONS:
        logging = properties(name)["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        assert stack()["Resources"][logging["LogGroup"]["Ref"]]["Type"] == "AWS::Logs::LogGroup"
    groups = of_type("AWS::Logs::LogGroup")
    assert [g["RetentionInDays"] for g in groups] == [{"Ref": "LogRetentionDays"}] * len(groups)
    assert [g["KmsKeyId"] for g in groups] == [OWN_KEY] * len(groups)


def test_the_table_is_encrypted_recoverable_and_forgets() -> None:
    table = stack()["Resources"]["RunsTable"]
    # A first deployment that fails leaves no table behind that nobody has used.
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table["UpdateReplacePolicy"] == "Retain"
    said = table["Properties"]
    encrypted = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": OWN_KEY}
    assert said["SSESpecification"] == encrypted
    assert said["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert said["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert said["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "PlaygroundFunction"])
def test_a_function_gets_every_setting_and_none_that_nobody_reads(function: str) -> None:
    variables = properties(function)["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("AGENTRUN_")}
    # Read by the agents' own package, which only two functions run.
    of_agents = {"AGENTRUN_MODEL_IDLE_TIMEOUT_S", "AGENTRUN_SECRETS_ARN"}
    given -= of_agents if function in {"StreamFunction", "WorkerFunction"} else set()
    of_webhooks = {f"AGENTRUN_WEBHOOK_{name.upper()}" for name in WebhookSettings.model_fields}
    given -= of_webhooks if function == "WebhookFunction" else set()
    # For a machine whose log only its developer reads, and whose receivers run on it.
    not_here = {"AGENTRUN_LOG_CAUSES", "AGENTRUN_WEBHOOK_LOOPBACK"}
    # Only the status function issues tickets. The one behind the URL cannot be told it: a circle.
    not_here |= {"AGENTRUN_STREAM_URL"} if function != "StatusFunction" else set()
    assert given == {f"AGENTRUN_{name.upper()}" for name in Settings.model_fields} - not_here


def test_the_exec_wrapper_is_in_a_layer_of_the_stream_function() -> None:
    stream = properties("StreamFunction")
    assert stream["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    for layers in stream["Layers"]["Fn::If"][1:]:
        assert any(layer["Ref"].startswith("StreamingLayer") for layer in layers)
    assert os.access(ROOT / "layers" / "streaming" / "bootstrap", os.X_OK)


@pytest.mark.parametrize(
    ("model", "other_providers", "attached"),
    [
        ("demo", "false", False),
        ("bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0", "false", False),
        ("bedrock:some-model", "true", True),
        ("openai:gpt-5", "false", True),
        ("anthropic:claude-haiku-4-5", "true", True),
    ],
)
def test_the_layer_of_other_providers_is_attached_where_it_is_wanted(
    model: str, other_providers: str, attached: bool
) -> None:
    resources = deployed(Model=model, OtherProviders=other_providers)
    named = {name for name in resources if name.startswith("ProvidersLayer")}
    assert bool(named) == attached
    assert len(resources["StreamFunction"].properties["Layers"]) == 4 + attached
    assert set(resources["StreamFunction"].properties["Layers"]) >= named
    for function in ("StatusFunction", "AuthorizerFunction"):
        assert not named & set(resources[function].properties["Layers"])


# SAM CLI's own, about what it calls.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("model", ["demo", "openai:gpt-5"])
def test_sam_cli_sees_the_layers_that_are_deployed(model: str) -> None:
    """`sam local invoke` mounts what this finds."""
    stacks, _ = SamLocalStackProvider.get_stacks(
        str(ROOT / "template.yaml"), parameter_overrides={"Model": model}
    )
    function = SamFunctionProvider(stacks).functions["StreamFunction"]
    always = ["CoreLayer", "EngineLayer", "AgentsLayer", "StreamingLayer"]
    expected = always if model == "demo" else [*always, "ProvidersLayer"]
    assert [layer.full_path for layer in function.layers] == expected


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ("demo", True),
        ("bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("openai:gpt-5", True),
        ("gateway/anthropic:claude-haiku-4-5", True),
        ("gpt-5", False),
        ("OpenAI:gpt-5", False),
        ("openai:gpt 5", False),
        ("test", False),
        ("", False),
    ],
)
def test_the_template_takes_the_models_that_the_catalogue_takes(model: str, accepted: bool) -> None:
    parameter = stack()["Parameters"]["Model"]
    # CloudFormation matches the whole value.
    assert bool(re.fullmatch(parameter["AllowedPattern"], model)) == accepted
    assert bool(re.match(MODEL_ID_PATTERN, model)) == accepted or model == "test"


@pytest.mark.parametrize(
    ("logging", "writes", "sets_role"),
    [("existing", True, False), ("create", True, True), ("none", False, False)],
)
def test_the_accounts_role_for_access_logs_is_touched_only_when_asked(
    logging: str, writes: bool, sets_role: bool
) -> None:
    resources = deployed(ApiGatewayLogging=logging)
    assert ("ApiLogGroup" in resources) == writes
    assert {"ApiGatewayAccount", "ApiGatewayLoggingRole"} & set(resources) == (
        {"ApiGatewayAccount", "ApiGatewayLoggingRole"} if sets_role else set()
    )
    (stage,) = (r for r in resources.values() if r.type == "AWS::ApiGateway::Stage")
    settings = stage.properties.get("AccessLogSetting")
    assert (settings is not None) == writes
    if settings is not None:
        assert settings["DestinationArn"].endswith("ApiLogGroup")


def test_by_default_the_accounts_role_is_left_alone() -> None:
    assert "ApiGatewayAccount" not in deployed()


def test_the_stage_waits_for_the_role_that_the_stack_sets() -> None:
    destination = of_type("AWS::ApiGateway::Stage")[0]["AccessLogSetting"]["Fn::If"][1]
    condition, with_role, _ = destination["DestinationArn"]["Fn::If"]
    assert condition == stack()["Resources"]["ApiGatewayAccount"]["Condition"]
    # CloudFormation orders resources by what they refer to.
    assert {"Ref": "ApiGatewayAccount"} in with_role["Fn::Select"][1]


@pytest.mark.parametrize("name", ["StatusFunction", "AuthorizerFunction", "StreamFunction"])
def test_nothing_is_reserved_unless_it_is_asked_for(name: str) -> None:
    """An account that has fewer than 100 invocations to spare refuses any reservation."""
    assert "ReservedConcurrentExecutions" not in deployed()[name].properties
    asked = deployed(StatusConcurrency="20", StreamConcurrency="40")[name].properties
    wanted = "40" if name == "StreamFunction" else "20"
    assert str(asked["ReservedConcurrentExecutions"]) == wanted


@pytest.mark.parametrize("detailed", ["false", "true"])
def test_metrics_by_method_are_paid_for_only_where_they_are_wanted(detailed: str) -> None:
    assert stack()["Parameters"]["DetailedApiMetrics"]["Default"] == "false"
    resources = deployed(DetailedApiMetrics=detailed).values()
    (stage,) = (found for found in resources if found.type == "AWS::ApiGateway::Stage")
    (settings,) = stage.properties["MethodSettings"]
    assert settings["MetricsEnabled"] is (detailed == "true")


def test_older_versions_of_layers_are_not_kept() -> None:
    layers = [r for r in stack()["Resources"].values() if r["Type"] == "AWS::Lambda::LayerVersion"]
    assert len(layers) == 6
    assert {layer["DeletionPolicy"] for layer in layers} == {"Delete"}


def deployed(**parameters: str) -> dict[str, Resource]:
    """The resources that a deployment with these parameters has."""
    given = {"Issuer": "https://issuer.test", "Audience": "me", **parameters}
    return load_resources(ROOT / "template.yaml", given)


def test_without_snapstart_the_function_url_follows_every_deployment() -> None:
    resources = deployed()
    assert not {"StreamVersion", "StreamAlias"} & set(resources)
    assert resources["StreamFunction"].properties["SnapStart"] == {"ApplyOn": "None"}
    assert function_url_targets(resources) == {"StreamFunction"}


def test_with_snapstart_the_function_url_serves_the_version_of_the_release() -> None:
    resources = deployed(SnapStart="On", Release="r2")
    function = resources["StreamFunction"].properties
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    # Lambda refuses a second version of a function in which nothing has changed.
    assert "r2" in function["Description"]
    assert resources["StreamVersion"].properties["Description"] == "r2"
    version = stack()["Resources"]["StreamAlias"]["Properties"]["FunctionVersion"]
    assert version == {"Fn::GetAtt": ["StreamVersion", "Version"]}
    assert function_url_targets(resources) == {"StreamAlias"}


def test_snapstart_needs_a_release() -> None:
    rule = stack()["Rules"]["SnapStartNeedsRelease"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "SnapStart"}, "On"]}
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Release"}, ""]}]}


def function_url_targets(resources: Mapping[str, Resource]) -> set[str]:
    """Name what the Function URL calls, and what everybody may call through it."""
    permissions = ("StreamFunctionUrlPublicPermissions", "StreamFunctionURLInvokeAllowPublicAccess")
    allowed = [resources[name].properties["FunctionName"] for name in permissions]
    targets = [resources["StreamFunctionUrl"].properties["TargetFunctionArn"], *allowed]
    return {target.rpartition(":")[2] for target in targets}


def test_the_queue_waits_as_long_as_a_worker_may_take() -> None:
    """Lambda refuses a mapping whose queue hands a message out again before."""
    queue = properties("RunQueue")
    assert queue["VisibilityTimeout"] == properties("WorkerFunction")["Timeout"]
    bounds = stack()["Parameters"]["WorkerTimeout"]
    assert (bounds["Default"], bounds["MaxValue"]) == (900, 900)


def test_what_no_worker_can_work_off_is_kept_for_longer_than_it_was_tried() -> None:
    queue, letters = properties("RunQueue"), properties("RunDeadLetters")
    redrive = queue["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["RunDeadLetters", "Arn"]}
    assert redrive["maxReceiveCount"] == 20
    assert letters["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]
    assert queue["SqsManagedSseEnabled"] is letters["SqsManagedSseEnabled"] is True


def test_a_run_is_out_of_attempts_before_its_message_is_a_dead_letter() -> None:
    received = properties("RunQueue")["RedrivePolicy"]["maxReceiveCount"]
    file = {"name": "A", "description": "A", "max_attempts": received - 1}
    with pytest.raises(ValueError, match="max_attempts"):
        AgentFile.model_validate(file)


def test_a_worker_gets_one_run_at_a_time() -> None:
    mapping = properties("RunQueueMapping")
    assert mapping["FunctionName"] == {"Ref": "WorkerFunction"}
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["RunQueue", "Arn"]}
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "WorkerConcurrency"}}
    bounds = stack()["Parameters"]["WorkerConcurrency"]
    assert (bounds["MinValue"], bounds["MaxValue"]) == (2, 1000)


def test_a_worker_has_the_layers_of_the_stream_function_but_for_its_runtime() -> None:
    stream, worker = (properties(f"{name}Function")["Layers"] for name in ("Stream", "Worker"))
    for streams, works in zip(stream["Fn::If"][1:], worker["Fn::If"][1:], strict=True):
        assert works == [one for one in streams if not one["Ref"].startswith("StreamingLayer")]
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in properties("WorkerFunction")["Environment"]["Variables"]


def test_the_bucket_is_private_encrypted_and_forgets() -> None:
    bucket = stack()["Resources"]["RunsBucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    said = bucket["Properties"]
    (rule,) = said["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    chosen = rule["ServerSideEncryptionByDefault"]
    assert chosen["SSEAlgorithm"] == {"Fn::If": ["HasKmsKey", "aws:kms", "AES256"]}
    assert chosen["KMSMasterKeyID"] == OWN_KEY
    assert set(said["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(said["PublicAccessBlockConfiguration"]) == 4
    assert "VersioningConfiguration" not in said


def test_an_object_lives_as_long_as_an_event_whose_run_pauses_for_longest() -> None:
    (rule,) = properties("RunsBucket")["LifecycleConfiguration"]["Rules"]
    longest_pause = timedelta(hours=stack()["Parameters"]["ApprovalExpiryHours"]["MaxValue"])
    kept = timedelta(days=rule["ExpirationInDays"])
    assert timedelta() <= kept - (RETENTION + longest_pause + SLACK) < timedelta(days=1)


def test_the_bucket_refuses_connections_that_are_not_encrypted() -> None:
    (said,) = properties("RunsBucketPolicy")["PolicyDocument"]["Statement"]
    assert (said["Effect"], said["Principal"], said["Action"]) == ("Deny", "*", "s3:*")
    assert said["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert said["Resource"] == [
        {"Fn::GetAtt": ["RunsBucket", "Arn"]},
        {"Fn::Sub": "${RunsBucket.Arn}/*"},
    ]
