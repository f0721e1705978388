"""The rules that the template keeps, on the CloudFormation that SAM makes of it."""

import json
import os
from typing import Any

import pytest

from agentrun.adapters import dynamo_items, dynamo_run_store
from agentrun.settings import Settings
from tests.translated_template import ROOT, of_type, properties, stack

FUNCTIONS = ("StreamFunction", "StatusFunction", "AuthorizerFunction")
# Wildcard resources that are meant: an agent's file chooses the model, and a cross-region profile
# needs it in every region that it routes to.
MEANT_WILDCARDS = {
    "arn:${AWS::Partition}:bedrock:*::foundation-model/*",
    "arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:inference-profile/*",
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    policies = role.get("Policies", [])
    return [found for policy in policies for found in policy["PolicyDocument"]["Statement"]]


def actions(function: str) -> set[str]:
    role = properties(f"{function}Role")
    return {action for found in statements(role) for action in as_list(found["Action"])}


def test_the_authorizer_is_granted_nothing() -> None:
    assert actions("AuthorizerFunction") == set()


def test_the_status_function_reads_and_updates_but_creates_and_deletes_nothing() -> None:
    granted = {"GetItem", "BatchGetItem", "Query", "UpdateItem"}
    assert actions("StatusFunction") == {f"dynamodb:{name}" for name in granted}


def updatable() -> dict[str, Any]:
    role = properties("StatusFunctionRole")
    (update,) = (s for s in statements(role) if "dynamodb:UpdateItem" in as_list(s["Action"]))
    assert as_list(update["Action"]) == ["dynamodb:UpdateItem"]
    condition: dict[str, Any] = update["Condition"]
    return condition


def test_the_status_function_updates_the_life_cycle_of_a_run_and_nothing_else() -> None:
    allowed = set(updatable()["ForAllValues:StringEquals"]["dynamodb:Attributes"])
    assert allowed.isdisjoint(
        {"agentId", "sessionId", "userId", "orgId", "input", "output", "ttl", "gsi1pk", "gsi1sk"}
    )
    returned = updatable()["StringEqualsIfExists"]["dynamodb:ReturnValues"]
    assert set(returned) == {"NONE", "UPDATED_OLD", "UPDATED_NEW"}


def test_the_status_function_may_name_all_that_it_takes_to_end_an_abandoned_run() -> None:
    fields = dict.fromkeys(dynamo_run_store._SET_BY_EXPIRY, "value")
    named = {"pk", "sk", "executor", "leaseUntil", "version", *dynamo_items.attributes(fields)}
    assert named <= set(updatable()["ForAllValues:StringEquals"]["dynamodb:Attributes"])


def test_no_action_is_a_wildcard_and_no_resource_but_those_meant() -> None:
    granted = [s for role in of_type("AWS::IAM::Role") for s in statements(role)]
    assert granted
    assert not [s for s in granted for action in as_list(s["Action"]) if "*" in action]
    named = [json.dumps(r) for s in granted for r in as_list(s["Resource"])]
    meant = {json.dumps({"Fn::Sub": arn}) for arn in MEANT_WILDCARDS}
    assert {arn for arn in named if "*" in arn} == meant


def test_the_only_managed_policies_are_those_that_write_logs() -> None:
    roles = of_type("AWS::IAM::Role")
    named = {json.dumps(arn) for role in roles for arn in role.get("ManagedPolicyArns", [])}
    endings = {arn.rstrip('"}').rpartition("/")[2] for arn in named}
    assert endings == {"AWSLambdaBasicExecutionRole", "AmazonAPIGatewayPushToCloudWatchLogs"}


def test_every_function_logs_json_into_a_group_that_forgets() -> None:
    for name in FUNCTIONS:
        logging = properties(name)["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        assert stack()["Resources"][logging["LogGroup"]["Ref"]]["Type"] == "AWS::Logs::LogGroup"
    groups = of_type("AWS::Logs::LogGroup")
    assert [g["RetentionInDays"] for g in groups] == [{"Ref": "LogRetentionDays"}] * len(groups)


def test_the_table_is_encrypted_recoverable_and_forgets() -> None:
    table = stack()["Resources"]["RunsTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    said = table["Properties"]
    assert said["SSESpecification"] == {"SSEEnabled": True}
    assert said["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert said["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert said["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_every_setting_and_none_that_nobody_reads(function: str) -> None:
    variables = properties(function)["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("AGENTRUN_")}
    assert given == {f"AGENTRUN_{name.upper()}" for name in Settings.model_fields}


def test_the_exec_wrapper_is_in_a_layer_of_the_stream_function() -> None:
    stream = properties("StreamFunction")
    assert stream["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    assert any(layer["Ref"].startswith("StreamingLayer") for layer in stream["Layers"])
    assert os.access(ROOT / "layers" / "streaming" / "bootstrap", os.X_OK)
