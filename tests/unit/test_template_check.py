"""`make template-check` finds what CloudFormation would refuse."""

import pytest

from tests.template_check import findings
from tests.translated_template import ROOT

TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
STREAM = "Resources/StreamFunction/Properties"
STATUS = "Resources/StatusFunction/Properties"
STATEMENTS = "Resources/StreamFunctionRole/Properties/Policies/{}/PolicyDocument/Statement"
# What is broken, how, and the finding. All of them in one template: to lint it takes a second.
BROKEN = {
    "a runtime that does not exist": (
        "    Runtime: python3.13\n",
        "    Runtime: python9.9\n",
        f"E3030 {STREAM}/Runtime: 'python9.9' is not one of",
    ),
    "a time-out of an hour": (
        "      Timeout: 15\n",
        "      Timeout: 3600\n",
        f"E3717 {STATUS}/Timeout: 3600 is greater than the maximum of 900",
    ),
    "too little memory": (
        "    MemorySize: 512\n",
        "    MemorySize: 64\n",
        f"E3034 {STATUS}/MemorySize: 64 is less than the minimum of 128",
    ),
    "a property that a table does not have": (
        "      TimeToLiveSpecification:\n",
        "      TimeToLife:\n",
        "E3002 Resources/RunsTable/Properties/TimeToLife: Additional properties are not allowed",
    ),
    "a Ref to what is not there": (
        "AGENTRUN_TABLE: !Ref RunsTable\n",
        "AGENTRUN_TABLE: !Ref RunTable\n",
        f"E1020 {STREAM}/Environment/Variables/AGENTRUN_TABLE/Ref: 'RunTable' is not one of",
    ),
    "an attribute that a table does not have": (
        "    Value: !Ref RunsTable\n",
        "    Value: !GetAtt RunsTable.Name\n",
        "E6101 Outputs/TableName/Value/Fn::GetAtt/1: 'Name' is not one of",
    ),
    "an effect that IAM does not know": (
        "            - Sid: CallModels\n              Effect: Allow\n",
        "            - Sid: CallModels\n              Effect: Permit\n",
        f"E3510 {STATEMENTS.format(0)}/5/Effect: 'Permit' is not one of",
    ),
    "an action that is none": (
        "secretsmanager:GetSecretValue\n",
        "secretsmanager-GetSecretValue\n",
        f"W3037 {STATEMENTS.format('2/Fn::If/1')}/0/Action: 'secretsmanager-GetSecretValue' is not",
    ),
    "a dependence on what a condition may leave out": (
        "  Api:\n    Type: AWS::Serverless::Api\n",
        "  Api:\n    Type: AWS::Serverless::Api\n    DependsOn: ApiGatewayAccount\n",
        "E3005 Resources/Api/DependsOn: 'ApiGatewayAccount' will not exist when condition",
    ),
}
# What SAM itself refuses, so that there is nothing to lint.
REFUSED = {
    "a property that a function does not have": (
        "      Timeout: 15\n",
        "      Timeout: 15\n      Tiemout: 15\n",
        "property Tiemout not defined for resource of type AWS::Serverless::Function",
    ),
    "an API that is not there": (
        "            RestApiId: !Ref Api\n            Path: /api/agents/{agentId}/runs/stream\n",
        "            RestApiId: !Ref Apo\n            Path: /api/agents/{agentId}/runs/stream\n",
        "Event with id [StreamRun] is invalid. RestApiId must be a valid reference",
    ),
}


def broken(text: str, what: tuple[str, str, str]) -> str:
    """Break the first of its places."""
    before, after, _ = what
    assert before in text
    return text.replace(before, after, 1)


@pytest.fixture(scope="module")
def found() -> list[str]:
    text = TEMPLATE
    for what in BROKEN.values():
        text = broken(text, what)
    return findings(text)


@pytest.mark.parametrize("name", BROKEN)
def test_what_cloudformation_would_refuse_is_found(name: str, found: list[str]) -> None:
    expected = BROKEN[name][2]
    assert [line for line in found if line.startswith(expected)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_sam_refuses_is_found(name: str) -> None:
    lines = findings(broken(TEMPLATE, REFUSED[name]))
    assert lines
    assert REFUSED[name][2] in lines[0]


def test_nothing_is_found_in_the_template_as_it_is() -> None:
    assert findings(TEMPLATE) == []
