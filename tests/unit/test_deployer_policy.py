"""The deployer's policy allows what CloudFormation does for this template, and little else."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

# cfn-lint ships no types.
from cfnlint.schema.manager import ProviderSchemaManager  # type: ignore[import-untyped]

from tests.documented import ROOT, blocks_of
from tests.translated_template import stack

MOST_CHARACTERS = 6144
"""Of a managed policy, white space not counted (IAM quotas)."""
UNUSED = {
    "a property that the template has not: replicas, imports, streams to Kinesis": (
        *("dynamodb:*Replica", "dynamodb:ImportTable", "dynamodb:DescribeImport", "dynamodb:*Item"),
        *("dynamodb:Query", "dynamodb:Scan", "dynamodb:*KinesisStreamingDestination", "kinesis:*"),
        *("dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"),
        *("dynamodb:UpdateContributorInsights", "iam:CreateServiceLinkedRole"),
    ),
    "the logs of an import into DynamoDB": (
        *("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        *("s3:GetObjectMetadata",),
    ),
    "only with a key of one's own, which the page says apart": ("kms:*", "logs:*KmsKey"),
    "a VPC, a file system, a capacity provider": (
        *("ec2:*", "elasticfilesystem:*", "s3files:*", "lambda:PassCapacityProvider"),
        *("lambda:PutFunctionScalingConfig", "lambda:AssociateRuntimeAlias"),
    ),
    "gradual deployments, provisioned concurrency, code signing, other runtimes": (
        *("codedeploy:*", "lambda:*ProvisionedConcurrencyConfig"),
        *("lambda:PutFunctionCodeSigningConfig", "lambda:DeleteFunctionCodeSigningConfig"),
        *("lambda:GetCodeSigningConfig", "lambda:PutFunctionRecursionConfig"),
        *("lambda:PutRuntimeManagementConfig",),
    ),
    "policies, indexes and deliveries of log groups": (
        *("logs:PutDataProtectionPolicy", "logs:DeleteDataProtectionPolicy", "logs:*IndexPolicy"),
        *("logs:PutResourcePolicy", "logs:DeleteResourcePolicy"),
        *("logs:CreateLogDelivery", "logs:PutBearerTokenAuthentication", "firehose:*"),
        *("logs:PutLogGroupDeletionProtection", "s3:REST.PUT.OBJECT"),
    ),
    "what the bucket has not: a website, CORS, replication, metrics, logs, versions, locks": (
        *("s3:*Bucket*Metadata*", "s3tables:*", "s3:*Website", "s3:*Cors", "s3:PutBucketCORS"),
        *("s3:*BucketReplication", "s3:PutReplicationConfiguration", "s3:PutMetricsConfiguration"),
        *("s3:DeleteBucketMetricsConfiguration", "s3:*BucketAnalyticsConfiguration"),
        *("s3:PutAnalyticsConfiguration", "s3:PutInventoryConfiguration", "s3:PutBucketLogging"),
        *("s3:PutIntelligentTieringConfiguration", "s3:PutAccelerateConfiguration"),
        *("s3:PutBucketNotification", "s3:Put*ObjectLockConfiguration", "s3:PutBucketAcl"),
        *("s3:PutObjectAcl", "s3:PutBucketAbac", "s3:DeleteObject", "s3:DeleteBucketEncryption"),
        *("s3:DeleteBucketLifecycle",),
    ),
    "what the distribution has not: tenants, a VPC as origin, staging": (
        *("cloudfront:*ConnectionGroup", "cloudfront:GetVpcOrigin"),
        "cloudfront:UpdateDistributionWithStagingConfig",
    ),
    "permissions boundaries": ("iam:*PermissionsBoundary",),
    "an API's own policy": ("apigateway:UpdateRestApiPolicy",),
}
"""By the reason, what the handlers of the resource types may do but not for this template."""
BY_SAM = (
    *("cloudformation:*", "s3:PutObject", "s3:PutBucketVersioning", "s3:PutBucketTagging"),
    "s3:DeleteObject",
    # To see whether a role for access logs is there, and whether a first deployment may go on.
    "apigateway:GET",
)
"""What SAM CLI does itself: change sets, and the bucket that it uploads to."""


FOR_FILES = "lambda:InvokeFunction"
"""CloudFormation calls the function of a custom resource with the deployer's rights."""
PLAYGROUND = "HasPlayground"


def policies() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the policy of every deployment, and what one with the playground needs besides."""
    always, playground = (
        json.loads(block.text)
        for block in blocks_of(ROOT / "docs/deploy.md", "json")
        if '"Statement"' in block.text
    )
    return always, playground


@pytest.fixture(scope="module")
def policy() -> dict[str, Any]:
    return policies()[0]


@pytest.fixture(scope="module")
def of_playground() -> dict[str, Any]:
    return policies()[1]


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def allowed(policy: dict[str, Any]) -> set[str]:
    return {action for said in policy["Statement"] for action in as_list(said["Action"])}


def needed(*, by_playground: bool | None = None) -> set[str]:
    """
    Return what the handlers of the template's resource types say that they call.

    Args:
        by_playground: Of the playground's resources only, or of all but them.
    """
    schemas = ProviderSchemaManager()
    kinds = {
        resource["Type"]
        for resource in stack()["Resources"].values()
        if by_playground in {None, resource.get("Condition") == PLAYGROUND}
        # A resource whose handler is a function of the stack.
        and not resource["Type"].startswith("Custom::")
    }
    return {
        action
        for kind in kinds
        for name, handler in schemas.get_resource_schema("eu-west-1", kind)
        .schema["handlers"]
        .items()
        if name != "list"
        for action in handler["permissions"]
    }


def matches(action: str, patterns: Any) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in patterns)


def test_everything_is_allowed_that_is_needed_and_nothing_that_is_not(
    policy: dict[str, Any],
) -> None:
    unused = [pattern for patterns in UNUSED.values() for pattern in patterns]
    used = {a for a in needed(by_playground=False) if not matches(a, unused)}
    assert len(used) > 80
    assert sorted(action for action in used if not matches(action, allowed(policy))) == []
    for_nothing = {
        pattern
        for pattern in allowed(policy)
        if not any(fnmatchcase(action, pattern) for action in used) and not matches(pattern, BY_SAM)
    }
    assert for_nothing == set()


def test_the_playground_needs_what_its_policy_adds_and_no_other_rights(
    policy: dict[str, Any], of_playground: dict[str, Any]
) -> None:
    unused = [pattern for patterns in UNUSED.values() for pattern in patterns]
    used = {a for a in needed(by_playground=True) if not matches(a, unused)}
    both = allowed(policy) | allowed(of_playground)
    assert sorted(action for action in used if not matches(action, both)) == []
    added = allowed(of_playground) - allowed(policy)
    assert {one for one in added if not one.startswith("cloudfront:")} == {FOR_FILES}
    assert {one for one in added if not any(fnmatchcase(a, one) for a in used)} == {FOR_FILES}
    assert "cloudfront" not in json.dumps(policy)
    assert len(json.dumps(of_playground, separators=(",", ":"))) <= MOST_CHARACTERS


def test_nothing_stays_on_the_list_of_what_is_unused_that_no_handler_names() -> None:
    patterns = [pattern for patterns in UNUSED.values() for pattern in patterns]
    assert [one for one in patterns if not any(fnmatchcase(a, one) for a in needed())] == []


def test_only_reads_are_wildcards_and_only_reads_are_of_everything(
    policy: dict[str, Any], of_playground: dict[str, Any]
) -> None:
    for said in [*policy["Statement"], *of_playground["Statement"]]:
        assert said["Effect"] == "Allow"
        wild = [action for action in as_list(said["Action"]) if "*" in action]
        assert [action for action in wild if not re.match(r"\w+:(Get|Describe|List)", action)] == []
        if "*" in as_list(said["Resource"]):
            actions = as_list(said["Action"])
            assert all(re.match(r"\w+:(Get|Describe|List)", action) for action in actions), said


def test_roles_are_passed_to_the_services_that_take_them_alone(policy: dict[str, Any]) -> None:
    (said,) = (s for s in policy["Statement"] if "iam:PassRole" in as_list(s["Action"]))
    services = said["Condition"]["StringEquals"]["iam:PassedToService"]
    assert set(services) == {"lambda.amazonaws.com", "apigateway.amazonaws.com"}
    assert as_list(said["Resource"]) == ["arn:aws:iam::ACCOUNT_ID:role/agentrun-*"]


def test_the_names_of_layers_are_those_of_the_template(
    policy: dict[str, Any], of_playground: dict[str, Any]
) -> None:
    named = set(re.findall(r":layer:(\w+)", json.dumps([policy, of_playground])))
    layers = {
        resource["Properties"]["LayerName"]
        for resource in stack()["Resources"].values()
        if resource["Type"] == "AWS::Lambda::LayerVersion"
    }
    assert named == layers


def test_it_fits_into_one_managed_policy(policy: dict[str, Any]) -> None:
    assert len(json.dumps(policy, separators=(",", ":"))) <= MOST_CHARACTERS
