"""The template means here what it means to CloudFormation."""

from pathlib import Path
from typing import Any

import pytest

from agentrun.settings import Settings
from agentrun_local.doors.rest_definition import RestApi
from agentrun_local.errors import TemplateError
from agentrun_local.template.cloudformation import function_arn, load_resources
from agentrun_local.template.resources import STREAM_CONCURRENCY, Stack, read_stack

ROOT = Path(__file__).resolve().parents[4]
GIVEN = {"Issuer": "https://issuer.test", "Audience": "me", "Model": "demo", "Jwks": "{}"}
HEAD = "Transform: AWS::Serverless-2016-10-31\n"
RESOLVED = """
Parameters:
  Stage: {Type: String, Default: dev}
  Origins: {Type: CommaDelimitedList, Default: "a, b"}
  Size: {Type: Number, Default: 3}
Mappings:
  Sizes: {dev: {memory: 128}, live: {memory: 1024}}
Conditions:
  IsLive: !Equals [!Ref Stage, live]
  IsNotLive: !Not [!Condition IsLive]
  Both: !And [!Condition IsLive, !Equals [a, a]]
  Either: !Or [!Condition IsLive, !Equals [a, a]]
Resources:
  Table: {Type: AWS::DynamoDB::Table, Properties: {}}
  Named: {Type: AWS::DynamoDB::Table, Properties: {TableName: its-own}}
  LiveOnly: {Type: X::Y::Z, Condition: IsLive}
  Thing:
    Type: X::Y::Z
    Properties:
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "template.yaml"
    path.write_text(HEAD + text)
    return path


def resolved(folder: Path, value: str, **parameters: str) -> Any:
    path = written(folder, f"{RESOLVED}      Value: {value}\n")
    return load_resources(path, parameters)["Thing"].properties.get("Value", "absent")


@pytest.fixture(scope="module")
def stack() -> Stack:
    return read_stack(ROOT / "template.yaml", GIVEN)


@pytest.fixture(scope="module")
def api(stack: Stack) -> RestApi:
    assert stack.rest_api is not None
    return stack.rest_api


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Origins", ["a", "b"]),
        ("!Ref Size", "3"),
        ("!Ref Table", "agentrun-Table"),
        ("!Ref Named", "its-own"),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref AWS::NoValue", "absent"),
        ("[1, !Ref AWS::NoValue]", [1]),
        ("!GetAtt Thing.Arn", function_arn("Thing")),
        ("!Sub '${Stage}-${AWS::AccountId}-${!Literal}'", "dev-123456789012-${Literal}"),
        ("!Sub ['${x}-${Stage}', {x: !Ref Size}]", "3-dev"),
        ("!Sub '${Thing.Arn}'", function_arn("Thing")),
        ("!If [IsLive, 1, 2]", 2),
        ("!If [IsNotLive, 1, 2]", 1),
        ("!If [Both, 1, 2]", 2),
        ("!If [Either, 1, 2]", 1),
        ("!Join ['-', [a, !Ref Stage]]", "a-dev"),
        ("!Select [1, !Ref Origins]", "b"),
        ("!Select [0, !Split ['-', a-b]]", "a"),
        ("!FindInMap [Sizes, !Ref Stage, memory]", 128),
        ("{deep: [{deeper: !Ref Stage}]}", {"deep": [{"deeper": "dev"}]}),
    ],
)
def test_intrinsic_functions_are_resolved(tmp_path: Path, value: str, expected: Any) -> None:
    assert resolved(tmp_path, value) == expected


def test_a_function_url_is_the_one_that_is_served(tmp_path: Path) -> None:
    url = "!GetAtt Thing.FunctionUrl"
    assert resolved(tmp_path, url).endswith(".lambda-url.eu-west-1.on.aws/")
    served = {"function_url": "http://127.0.0.1:4711"}
    found = load_resources(tmp_path / "template.yaml", {}, **served)
    assert found["Thing"].properties["Value"] == "http://127.0.0.1:4711/"
    status = read_stack(ROOT / "template.yaml", GIVEN, **served).functions["StatusFunction"]
    assert status.environment["AGENTRUN_STREAM_URL"] == "http://127.0.0.1:4711/"


def test_a_given_parameter_wins_over_the_default(tmp_path: Path) -> None:
    assert resolved(tmp_path, "!If [IsLive, !Ref Stage, no]", Stage="live") == "live"
    assert "LiveOnly" in load_resources(tmp_path / "template.yaml", {"Stage": "live"})
    assert "LiveOnly" not in load_resources(tmp_path / "template.yaml", {})


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("!Ref Nobody", "refers to 'Nobody'"),
        ("!Sub '${Nobody}'", "refers to 'Nobody'"),
        ("!If [Nothing, 1, 2]", "no condition 'Nothing'"),
        ("!FindInMap [Sizes, x, y]", "no entry x/y"),
        ("!ImportValue x", "does not know the function Fn::ImportValue"),
    ],
)
def test_what_cannot_be_resolved_is_named(tmp_path: Path, value: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        resolved(tmp_path, value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "is not YAML"),
        ("a: b", "has no Resources"),
        ("Resources: {F: {Type: AWS::Serverless::Function, Properties: {}}}", "not a valid SAM"),
        ("Parameters: {P: {Type: String}}\nResources: {T: {Type: X::Y::Z}}", "P has no default"),
    ],
)
def test_a_broken_template_is_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        load_resources(written(tmp_path, text), {})


def test_a_missing_template_and_an_unknown_parameter_are_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Cannot read"):
        load_resources(tmp_path / "none.yaml", {})
    with pytest.raises(TemplateError, match="has no parameter Nope"):
        load_resources(written(tmp_path, "Resources: {}"), {"Nope": "x"})


def test_this_projects_functions_are_read(stack: Stack) -> None:
    assert set(stack.functions) >= {"AuthorizerFunction", "StatusFunction", "StreamFunction"}
    stream, status = stack.functions["StreamFunction"], stack.functions["StatusFunction"]
    assert stream.code_dir == ROOT / "functions/stream"
    assert stream.exec_wrapper == ROOT / "layers/streaming/bootstrap"
    assert (stream.timeout_s, stream.concurrency) == (900, STREAM_CONCURRENCY)
    assert (status.handler, status.exec_wrapper, status.concurrency) == ("app.handler", None, 1)
    assert stream.environment["AGENTRUN_MODEL"] == "demo"
    assert stream.environment["AGENTRUN_JWT_ISSUER"] == "https://issuer.test"


def test_this_projects_routes_are_read(api: RestApi) -> None:
    routes = {(route.method, route.resource): route for route in api.routes}
    stream = routes["POST", "/api/agents/{agentId}/runs/stream"]
    status = routes["GET", "/api/agents/{agentId}/runs/{runId}"]
    health = routes["GET", "/api/v1/health"]
    preflight = routes["OPTIONS", "/api/agents"]
    assert (stream.function, stream.streaming, stream.timeout_s) == ("StreamFunction", True, 900)
    assert (status.function, status.streaming, status.timeout_s) == ("StatusFunction", False, 29)
    assert stream.authorizer == status.authorizer == "BearerToken"
    assert health.authorizer is None
    assert preflight.mock is not None
    assert preflight.mock.headers["Access-Control-Allow-Origin"] == "*"


def test_this_projects_authorizer_and_gateway_responses_are_read(api: RestApi) -> None:
    authorizer = api.authorizers["BearerToken"]
    assert (authorizer.function, authorizer.kind) == ("AuthorizerFunction", "TOKEN")
    assert authorizer.identity_sources == ("method.request.header.Authorization",)
    assert authorizer.ttl_s == 300
    assert api.gateway_responses["UNAUTHORIZED"].headers["WWW-Authenticate"] == "Bearer"
    assert api.gateway_responses["MISSING_AUTHENTICATION_TOKEN"].status == 404


def test_this_projects_table_and_function_url_are_read(stack: Stack) -> None:
    (table,) = stack.tables
    assert table.ttl_attribute == "ttl"
    assert [index["IndexName"] for index in table.definition["GlobalSecondaryIndexes"]] == [
        "sessions"
    ]
    assert stack.functions["StreamFunction"].environment["AGENTRUN_TABLE"] == table.name
    assert stack.function_url is not None
    assert (stack.function_url.function, stack.function_url.streaming) == ("StreamFunction", True)


FUNCTION = """
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Runtime: python3.13
"""


def test_an_exec_wrapper_that_no_layer_has_is_an_error(tmp_path: Path) -> None:
    variables = "      Environment: {Variables: {AWS_LAMBDA_EXEC_WRAPPER: /opt/nothing}}\n"
    found = read_stack(written(tmp_path, FUNCTION + variables), {}).functions["F"]
    with pytest.raises(TemplateError, match="no layer of it has the exec wrapper /opt/nothing"):
        _ = found.exec_wrapper


def test_a_request_authorizer_is_read_with_its_identity_sources(tmp_path: Path) -> None:
    more = """\
      Events:
        E: {Type: Api, Properties: {RestApiId: !Ref A, Path: /x, Method: any}}
  A:
    Type: AWS::Serverless::Api
    Properties:
      StageName: s
      Auth:
        DefaultAuthorizer: Q
        Authorizers:
          Q:
            FunctionArn: !GetAtt F.Arn
            FunctionPayloadType: REQUEST
            Identity: {Headers: [X-Key], QueryStrings: [key], ReauthorizeEvery: 0}
"""
    api = read_stack(written(tmp_path, FUNCTION + more), {}).rest_api
    assert api is not None
    authorizer = api.authorizers["Q"]
    assert (authorizer.kind, authorizer.ttl_s) == ("REQUEST", 0)
    assert authorizer.identity_sources == (
        "method.request.header.X-Key",
        "method.request.querystring.key",
    )
    assert [(route.method, route.authorizer) for route in api.routes] == [("ANY", "Q")]


@pytest.mark.parametrize(
    ("given", "base_path"),
    [({}, ""), ({"BasePath": "/assist"}, "/assist"), ({"BasePath": "/a/b"}, "/a/b")],
)
def test_the_rest_api_has_the_base_path_that_the_functions_are_told(
    given: dict[str, str], base_path: str
) -> None:
    stack = read_stack(ROOT / "template.yaml", GIVEN | given)
    assert stack.rest_api is not None
    assert stack.rest_api.base_path == base_path
    for name in ("StreamFunction", "StatusFunction"):
        assert Settings.from_environment(stack.functions[name].environment).base_path == base_path
