"""
What each function may do: the list of grants, each with its reason, and nothing beyond it.

The list is compared with the CloudFormation that SAM makes of the template, both ways, and
tests/integration/test_iam_calls.py compares it with the calls that the functions make.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.translated_template import of_type, properties, stack

FUNCTIONS = (
    *("StreamFunction", "StatusFunction", "WorkerFunction", "WebhookFunction"),
    *("AuthorizerFunction", "PlaygroundFunction"),
)
TABLE, INDEX, KEY = "RunsTable.Arn", "${RunsTable.Arn}/index/sessions", "KmsKeyArn"
QUEUE, BUCKET, OBJECTS = "RunQueue.Arn", "RunsBucket.Arn", "${RunsBucket.Arn}/*"
STREAM, STREAMS = "RunsTable.StreamArn", "${RunsTable.Arn}/stream/*"
DELIVERIES, SET_ASIDE = "WebhookQueue.Arn", "WebhookDeadLetters.Arn"
PAGES, PAGE = "PlaygroundBucket.Arn", "${PlaygroundBucket.Arn}/*"
MODELS = "arn:${AWS::Partition}:bedrock:*::foundation-model/*"
PROFILES = "arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:inference-profile/*"
OWN_PROFILES = PROFILES.replace(":inference-profile", ":application-inference-profile")
# Which attributes of the table a write may name, and what it may ask for in return. There is no
# `dynamodb:LeadingKeys` that would keep tenants apart: it compares with what the role's session
# says, and a function has one session for all its callers. A session for each would be a call of
# STS in front of every request; that tenants are kept apart is proved by test_isolation.py.
SHAPE = frozenset({"dynamodb:Attributes", "dynamodb:ReturnValues"})
OF_TICKETS = SHAPE | {"dynamodb:LeadingKeys"}
BY_TABLE = frozenset({"kms:ViaService", "kms:EncryptionContext:aws:dynamodb:tableName"})
BY_SQS = "kms:ViaService"
BY_BUCKET = frozenset({"kms:ViaService", "kms:EncryptionContext:aws:s3:arn"})


@dataclass(frozen=True)
class Grant:
    """One action on one resource, the keys of the condition on it, and what it is for."""

    function: str
    action: str
    resource: str
    reason: str
    condition: frozenset[str] = frozenset()

    @property
    def said(self) -> tuple[str, str, str, frozenset[str]]:
        return (self.function, self.action, self.resource, self.condition)


def stream(action: str, resource: str, reason: str, *condition: str) -> Grant:
    return Grant("StreamFunction", action, resource, reason, frozenset(condition))


def status(action: str, resource: str, reason: str, *condition: str) -> Grant:
    return Grant("StatusFunction", action, resource, reason, frozenset(condition))


def worker(action: str, resource: str, reason: str, *condition: str) -> Grant:
    return Grant("WorkerFunction", action, resource, reason, frozenset(condition))


def webhook(action: str, resource: str, reason: str, *condition: str) -> Grant:
    return Grant("WebhookFunction", action, resource, reason, frozenset(condition))


def playground(action: str, resource: str, reason: str) -> Grant:
    return Grant("PlaygroundFunction", action, resource, reason)


CALL = "bedrock:InvokeModelWithResponseStream"
JUSTIFIED = (
    stream("dynamodb:GetItem", TABLE, "a run's header; a session, to see who it belongs to"),
    stream("dynamodb:BatchGetItem", TABLE, "the earlier turns of a conversation"),
    stream("dynamodb:Query", TABLE, "a run's events and long texts; a session's runs"),
    stream("dynamodb:Query", INDEX, "the sessions in which a reader's request may have begun"),
    stream("dynamodb:PutItem", TABLE, "a run, its request and claim; segments; long outputs"),
    stream("dynamodb:UpdateItem", TABLE, "heartbeats, the end; a session's lock; quotas; tickets"),
    stream("dynamodb:ConditionCheckItem", TABLE, "that the run before in the session is not alive"),
    stream(CALL, MODELS, "an agent's file names the model; a cross-region profile needs it in all"),
    stream(CALL, PROFILES, "an agent's file may name a profile, AWS's own"),
    stream(CALL, OWN_PROFILES, "or one of the account's, for its costs"),
    stream("kms:Decrypt", KEY, "the table's key, where it is the account's own", *BY_TABLE),
    stream(
        "secretsmanager:GetSecretValue", "SecretsArn", "what servers, tools and providers ask for"
    ),
    stream("sqs:SendMessage", QUEUE, "a run in the background; a run that is handed over"),
    stream("s3:PutObject", OBJECTS, "media of a request; a checkpoint or step over 256 KB"),
    stream("s3:GetObject", OBJECTS, "the same, when it goes on with a run"),
    stream("s3:ListBucket", BUCKET, "that an object is absent, and not forbidden"),
    stream("kms:Decrypt", KEY, "the bucket's key, where it is the account's own", *BY_BUCKET),
    stream("kms:GenerateDataKey", KEY, "the same, for a new object", *BY_BUCKET),
    status("dynamodb:GetItem", TABLE, "a run's header; a session"),
    status("dynamodb:BatchGetItem", TABLE, "up to 100 runs; the sessions of a page"),
    status("dynamodb:Query", TABLE, "long texts; a session's runs; how far a dead run came"),
    status("dynamodb:Query", INDEX, "a user's sessions"),
    status("dynamodb:UpdateItem", TABLE, "ends dead and waiting runs, asks for a cancel", *SHAPE),
    status("dynamodb:DeleteItem", TABLE, "a session, unless it is used anew; a header", *SHAPE),
    status("dynamodb:BatchWriteItem", TABLE, "what runs have left: deletes, or marks it", *SHAPE),
    status("dynamodb:PutItem", TABLE, "marks where a deleted run's executor would go on", *SHAPE),
    status("dynamodb:PutItem", TABLE, "a ticket for a stream", *OF_TICKETS),
    status("kms:Decrypt", KEY, "the table's key, where it is the account's own", *BY_TABLE),
    status("sqs:SendMessage", QUEUE, "asks for an executor where one was lost"),
    status("s3:ListBucket", BUCKET, "what an erased run has left"),
    status("s3:DeleteObject", OBJECTS, "erases it"),
    worker("dynamodb:GetItem", TABLE, "a run's header; a session"),
    worker("dynamodb:BatchGetItem", TABLE, "the earlier turns of a conversation"),
    worker("dynamodb:Query", TABLE, "a run's steps, events and long texts; a session's runs"),
    worker("dynamodb:PutItem", TABLE, "steps; segments; long outputs"),
    worker("dynamodb:UpdateItem", TABLE, "heartbeats, the end; a session's lock; quotas"),
    worker("dynamodb:ConditionCheckItem", TABLE, "that the run before in the session is not alive"),
    worker("sqs:ReceiveMessage", QUEUE, "the mapping polls"),
    worker("sqs:DeleteMessage", QUEUE, "the mapping deletes what is done"),
    worker("sqs:GetQueueAttributes", QUEUE, "the mapping asks how much there is"),
    worker(
        "sqs:ChangeMessageVisibility", QUEUE, "hides the message of a run for as long as it lives"
    ),
    worker("sqs:SendMessage", QUEUE, "a run that is handed over, or that has to wait"),
    worker("s3:PutObject", OBJECTS, "a checkpoint or step over 256 KB"),
    worker("s3:GetObject", OBJECTS, "the same, and media of the request"),
    worker("s3:ListBucket", BUCKET, "that an object is absent, and not forbidden"),
    worker(CALL, MODELS, "an agent's file names the model; a cross-region profile needs it in all"),
    worker(CALL, PROFILES, "an agent's file may name a profile, AWS's own"),
    worker(CALL, OWN_PROFILES, "or one of the account's, for its costs"),
    worker("kms:Decrypt", KEY, "the table's key, where it is the account's own", *BY_TABLE),
    worker("kms:Decrypt", KEY, "the bucket's key, where it is the account's own", *BY_BUCKET),
    worker("kms:GenerateDataKey", KEY, "the same, for a new object", *BY_BUCKET),
    worker(
        "secretsmanager:GetSecretValue", "SecretsArn", "what servers, tools and providers ask for"
    ),
    webhook("dynamodb:BatchGetItem", TABLE, "the beginnings of a run's long texts"),
    webhook("dynamodb:DescribeStream", STREAM, "the mapping finds the stream's shards"),
    webhook("dynamodb:GetShardIterator", STREAM, "the mapping begins to read one"),
    webhook("dynamodb:GetRecords", STREAM, "the mapping reads"),
    webhook("dynamodb:ListStreams", STREAMS, "the mapping looks for the stream"),
    webhook("sqs:ReceiveMessage", DELIVERIES, "the mapping polls"),
    webhook("sqs:DeleteMessage", DELIVERIES, "the mapping deletes what is delivered"),
    webhook("sqs:GetQueueAttributes", DELIVERIES, "the mapping asks how much there is"),
    webhook("sqs:ChangeMessageVisibility", DELIVERIES, "the pause before the next try"),
    webhook("sqs:SendMessage", DELIVERIES, "what the stream tells"),
    webhook("sqs:SendMessage", SET_ASIDE, "what cannot be read, or is wanted no more"),
    webhook("secretsmanager:GetSecretValue", "WebhookSecretArn", "signs"),
    webhook("kms:Decrypt", KEY, "the table's key, where it is the account's own", *BY_TABLE),
    webhook("kms:Decrypt", KEY, "the queues' key, where it is the account's own", BY_SQS),
    webhook("kms:GenerateDataKey", KEY, "the same, for a new message", BY_SQS),
    playground("s3:PutObject", PAGE, "the files of the page, and its settings"),
    playground("s3:DeleteObject", PAGE, "files of an earlier version; all, before the bucket goes"),
    playground("s3:ListBucket", PAGES, "which files are there"),
)
WILDCARDS = {
    MODELS: "agents choose their models, and profiles the region; a global profile names none",
    PROFILES: "there is one for each model and geography",
    OWN_PROFILES: "they are made, and named, outside of this stack",
    STREAMS: "a stream's name is the time at which it was switched on",
    OBJECTS: "objects are named by tenant and run",
    PAGE: "files are named by their content",
}
MANAGED = {
    "StreamFunctionRole": {"AWSLambdaBasicExecutionRole"},
    "StatusFunctionRole": {"AWSLambdaBasicExecutionRole"},
    "WorkerFunctionRole": {"AWSLambdaBasicExecutionRole"},
    "WebhookFunctionRole": {"AWSLambdaBasicExecutionRole"},
    "AuthorizerFunctionRole": {"AWSLambdaBasicExecutionRole"},
    "PlaygroundFunctionRole": {"AWSLambdaBasicExecutionRole"},
    "ApiGatewayLoggingRole": {"AmazonAPIGatewayPushToCloudWatchLogs"},
}
"""AWS's own policies, which write logs and nothing else."""
CALLERS = {
    ("StreamFunction", "lambda:InvokeFunctionUrl", "*"),
    ("StreamFunction", "lambda:InvokeFunction", "*"),
    ("StreamFunction", "lambda:InvokeFunction", "apigateway.amazonaws.com"),
    ("StatusFunction", "lambda:InvokeFunction", "apigateway.amazonaws.com"),
    ("AuthorizerFunction", "lambda:InvokeFunction", "apigateway.amazonaws.com"),
}
"""Who may call: everybody by the Function URL, behind which the function verifies the token."""
# What the status function may name: of a run its life cycle and its place among the pauses, and of
# a session what makes it unused.
LIFE_CYCLE = {
    *("pk", "sk", "status", "version", "executor", "leaseUntil", "cancelRequestedAt"),
    *("errorType", "errorMessage", "completedAt", "updatedAt", "durationMs", "lastEventId"),
    *("gsi1pk", "gsi1sk", "lost", "asked", "queue", "activeRun", "activeBy", "deleting"),
}
DELETED_BY = {"pk", "sk", "deleting"}
ERASED_BY = {"pk", "sk", "ttl", "executor"}
TICKET = {"pk", "sk", "ttl", "tenant", "userId", "roles", "agentId", "runId", "expiresAt"}
TICKETS = "TICKET#"
"""What the keys of tickets begin with, and no others: those have a tenant's `ORG#`."""


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(function: str) -> Iterator[dict[str, Any]]:
    """Yield what a function's role says, with and without the parameters that add to it."""
    for policy in properties(f"{function}Role").get("Policies", []):
        _, said, otherwise = policy.get("Fn::If", ("", policy, {"Ref": "AWS::NoValue"}))
        assert otherwise == {"Ref": "AWS::NoValue"}
        yield from said["PolicyDocument"]["Statement"]


def resource(value: Any) -> str:
    """Return a resource as the list names it."""
    match value:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(pattern)}:
            return pattern
        case {"Ref": str(name)}:
            return name
    return str(value)


def condition_keys(statement: dict[str, Any]) -> frozenset[str]:
    return frozenset(key for test in statement.get("Condition", {}).values() for key in test)


def granted() -> set[tuple[str, str, str, frozenset[str]]]:
    return {
        (function, action, resource(named), condition_keys(statement))
        for function in FUNCTIONS
        for statement in statements(function)
        for action in as_list(statement["Action"])
        for named in as_list(statement["Resource"])
    }


def statement_with(action: str) -> dict[str, Any]:
    """Return the one statement of the status function that allows an action, but on tickets."""
    (found,) = (
        said
        for said in statements("StatusFunction")
        if action in as_list(said["Action"]) and said["Sid"] != "IssueTickets"
    )
    return found


def attributes_of(action: str) -> set[str]:
    """Return the attributes of the table that the status function may name with an action."""
    named = statement_with(action)["Condition"]["ForAllValues:StringEquals"]
    return set(named["dynamodb:Attributes"])


def test_what_is_granted_is_what_is_justified_and_nothing_else() -> None:
    assert granted() == {grant.said for grant in JUSTIFIED}
    assert len(JUSTIFIED) == len({grant.said for grant in JUSTIFIED})
    assert all(grant.reason for grant in JUSTIFIED)


def test_the_authorizer_is_granted_nothing() -> None:
    assert list(statements("AuthorizerFunction")) == []


def test_no_action_is_a_wildcard_and_no_resource_but_those_meant() -> None:
    assert [action for _, action, _, _ in granted() if "*" in action] == []
    assert {named for _, _, named, _ in granted() if "*" in named} == set(WILDCARDS)


def test_every_statement_allows_and_names_what_it_allows() -> None:
    said = [s for function in FUNCTIONS for s in statements(function)]
    assert said
    for statement in said:
        assert statement["Effect"] == "Allow"
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}


def test_there_are_no_roles_or_policies_but_those_looked_at() -> None:
    kinds = {name: found["Type"] for name, found in stack()["Resources"].items()}
    iam = {name: kind for name, kind in kinds.items() if kind.startswith("AWS::IAM::")}
    assert iam == dict.fromkeys(MANAGED, "AWS::IAM::Role")
    assert "Policies" not in properties("ApiGatewayLoggingRole")


@pytest.mark.parametrize("role", list(MANAGED))
def test_the_only_managed_policies_are_those_that_write_logs(role: str) -> None:
    named = [json.dumps(arn) for arn in properties(role)["ManagedPolicyArns"]]
    assert {arn.rstrip('"}').rpartition("/")[2] for arn in named} == MANAGED[role]


@pytest.mark.parametrize("role", list(MANAGED))
def test_a_role_is_taken_on_by_its_service_alone(role: str) -> None:
    (trust,) = properties(role)["AssumeRolePolicyDocument"]["Statement"]
    service = "apigateway" if role == "ApiGatewayLoggingRole" else "lambda"
    assert as_list(trust["Principal"]["Service"]) == [f"{service}.amazonaws.com"]
    assert set(trust["Principal"]) == {"Service"}


def test_nobody_calls_a_function_but_those_listed() -> None:
    permissions = of_type("AWS::Lambda::Permission")
    named = {
        (function, said["Action"], said["Principal"])
        for said in permissions
        for function in FUNCTIONS
        if function in json.dumps(said["FunctionName"])
    }
    assert named == CALLERS
    for said in permissions:
        # API Gateway for this API only; everybody by the Function URL only.
        by_url = said.get("FunctionUrlAuthType") == "NONE" or said.get("InvokedViaFunctionUrl")
        assert by_url if said["Principal"] == "*" else "${__ApiId__}" in str(said["SourceArn"])


def test_the_status_function_updates_the_life_cycle_of_a_run_and_nothing_else() -> None:
    assert attributes_of("dynamodb:UpdateItem") == LIFE_CYCLE
    returned = statement_with("dynamodb:UpdateItem")["Condition"]["StringEqualsIfExists"]
    assert set(returned["dynamodb:ReturnValues"]) == {"NONE", "UPDATED_OLD", "UPDATED_NEW"}


def test_what_deletes_and_erases_puts_no_more_than_a_key_that_expires() -> None:
    named = {
        "dynamodb:DeleteItem": DELETED_BY,
        "dynamodb:BatchWriteItem": ERASED_BY,
        "dynamodb:PutItem": ERASED_BY,
    }
    for action, attributes in named.items():
        assert attributes_of(action) == attributes
        returned = statement_with(action)["Condition"]["StringEqualsIfExists"]
        assert returned == {"dynamodb:ReturnValues": "NONE"}


def test_the_status_function_puts_tickets_and_nothing_else_in_their_shape() -> None:
    (said,) = (s for s in statements("StatusFunction") if s["Sid"] == "IssueTickets")
    assert said["Action"] == "dynamodb:PutItem"
    assert said["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"{TICKETS}*"},
        "ForAllValues:StringEquals": {"dynamodb:Attributes": said_of_ticket(said)},
        "StringEqualsIfExists": {"dynamodb:ReturnValues": "NONE"},
    }
    assert set(said_of_ticket(said)) == TICKET


def said_of_ticket(statement: dict[str, Any]) -> list[str]:
    named = statement["Condition"]["ForAllValues:StringEquals"]
    attributes: list[str] = named["dynamodb:Attributes"]
    return attributes


def added_by(condition: str, function: str) -> list[dict[str, Any]]:
    """Return the policies that a role has under a condition only."""
    choices = [p["Fn::If"] for p in properties(f"{function}Role")["Policies"] if "Fn::If" in p]
    return [policy for name, policy, _ in choices if name == condition]


@pytest.mark.parametrize("function", ["StreamFunction", "WorkerFunction"])
def test_a_secret_may_be_read_only_where_there_is_one(function: str) -> None:
    (added,) = added_by("HasSecrets", function)
    (said,) = added["PolicyDocument"]["Statement"]
    assert said["Action"] == "secretsmanager:GetSecretValue"
    assert added_by("HasSecrets", "StatusFunction") == []


def test_a_key_of_ones_own_is_used_for_the_stacks_own_data_and_only_where_there_is_one() -> None:
    of_table: dict[str, Any] = {
        "kms:ViaService": {"Fn::Sub": "dynamodb.${AWS::Region}.amazonaws.com"},
        "kms:EncryptionContext:aws:dynamodb:tableName": {"Ref": "RunsTable"},
    }
    of_bucket: dict[str, Any] = {
        "kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"},
        "kms:EncryptionContext:aws:s3:arn": {"Fn::GetAtt": ["RunsBucket", "Arn"]},
    }
    of_queues: dict[str, Any] = {"kms:ViaService": {"Fn::Sub": "sqs.${AWS::Region}.amazonaws.com"}}
    used = {
        "StreamFunction": [of_table, of_bucket],
        "StatusFunction": [of_table],
        "WorkerFunction": [of_table, of_bucket],
        "WebhookFunction": [of_table, of_queues],
    }
    for function, conditions in used.items():
        (added,) = added_by("HasKmsKey", function)
        said = added["PolicyDocument"]["Statement"]
        assert [one["Condition"] for one in said] == [{"StringEquals": c} for c in conditions]
