"""What the template says of webhooks, on the CloudFormation that SAM makes of it."""

import json
from datetime import timedelta

from agentrun.adapters.dynamo.items import Attribute, header_key
from agentrun.adapters.webhooks.sender import TRY_TIMEOUT_S
from agentrun.domain.runs import RunKey, RunStatus
from agentrun.domain.webhooks import MOST_TRIES, PAUSES
from agentrun.settings import Settings
from tests.translated_template import properties
from tests.unit.test_template import OWN_KEY, deployed

WEBHOOK_SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhooks-AbCdEf"


def test_without_a_secret_there_is_nothing_of_webhooks() -> None:
    resources = deployed()
    assert [name for name in resources if name.startswith("Webhook")] == []
    assert "StreamSpecification" not in resources["RunsTable"].properties
    for name in ("StreamFunction", "StatusFunction"):
        variables = resources[name].properties["Environment"]["Variables"]
        assert not Settings.from_environment(variables).webhooks


def test_a_secret_switches_webhooks_on() -> None:
    resources = deployed(WebhookSecretArn=WEBHOOK_SECRET)
    assert {name for name in resources if name.startswith("Webhook")} == {
        *("WebhookFunction", "WebhookFunctionRole", "WebhookLogGroup"),
        *("WebhookQueue", "WebhookDeadLetters", "WebhookStreamMapping", "WebhookQueueMapping"),
    }
    # The function tells a change of status from other writes by the old image.
    stream = resources["RunsTable"].properties["StreamSpecification"]
    assert stream == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    for name in ("StreamFunction", "StatusFunction", "WebhookFunction"):
        variables = resources[name].properties["Environment"]["Variables"]
        assert Settings.from_environment(variables).webhooks


def test_webhooks_are_tried_as_often_as_there_are_pauses_and_then_kept() -> None:
    queue, letters = properties("WebhookQueue"), properties("WebhookDeadLetters")
    assert queue["RedrivePolicy"]["maxReceiveCount"] == MOST_TRIES
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {
        "Fn::GetAtt": ["WebhookDeadLetters", "Arn"]
    }
    assert queue["MessageRetentionPeriod"] > 2 * sum(PAUSES, timedelta()).total_seconds()
    assert letters["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]
    for one in (queue, letters):
        assert one["KmsMasterKeyId"] == OWN_KEY
        assert one["SqsManagedSseEnabled"] == {
            "Fn::If": ["HasKmsKey", {"Ref": "AWS::NoValue"}, True]
        }


def test_a_batch_of_webhooks_ends_within_the_functions_time() -> None:
    timeout_s = properties("WebhookFunction")["Timeout"]
    assert timeout_s >= 2 * TRY_TIMEOUT_S
    assert properties("WebhookQueue")["VisibilityTimeout"] >= 6 * timeout_s
    mapping = properties("WebhookQueueMapping")
    assert mapping["BatchSize"] == 10
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "WebhookConcurrency"}}


def test_the_table_tells_of_pauses_and_ends_of_runs_with_webhooks_until_it_is_heard() -> None:
    mapping = properties("WebhookStreamMapping")
    (pattern,) = (json.loads(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"])
    ends = [status.value for status in RunStatus if status.is_terminal or status == "PAUSED"]
    image = pattern["dynamodb"]["NewImage"]
    assert sorted(image.pop("status")["S"]) == sorted(ends)
    assert image == {Attribute.WEBHOOK: {"S": [{"exists": True}]}}
    key = header_key(RunKey(tenant="acme", run_id="run-1"))
    assert pattern["dynamodb"]["Keys"] == {"sk": {"S": [key["sk"]["S"]]}}
    assert mapping["MaximumRetryAttempts"] == -1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == {"Fn::GetAtt": ["WebhookDeadLetters", "Arn"]}
