"""The REST API of the template: routes, who may pass, what the gateway answers by itself."""

import json
import re
from typing import Any

import pytest

from agentrun.http import middleware as cors
from agentrun.http import problems
from agentrun.http.middleware import SECURITY_HEADERS
from agentrun.settings import Settings
from agentrun_local.template.cloudformation import load_resources
from tests.translated_template import ROOT, of_type, openapi, operations, properties, routes, stack

# A list without sources is one of 'none'.
SECURED = SECURITY_HEADERS | {"Content-Security-Policy": "default-src; frame-ancestors"}
STREAMED = (("/api/agents/{agentId}/runs/stream", "post"), ("/api/agents/{agentId}/runs", "post"))
EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
NO_REST_EVENTS = {
    *("attach-run-by-ticket", "authorizer", "playground-files", "run-ended", "run-message"),
    "stream-run",
}
REST_EVENTS = [name for name in EVENTS if name not in NO_REST_EVENTS]
# API Gateway's response types (source: "Gateway response types" in its developer guide), each with
# the status and the problem type that clients rely on.
ANSWERS = {
    "UNAUTHORIZED": (401, "unauthorized"),
    "ACCESS_DENIED": (403, "forbidden"),
    "WAF_FILTERED": (403, "forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (404, "resource-not-found"),
    "RESOURCE_NOT_FOUND": (404, "resource-not-found"),
    "REQUEST_TOO_LARGE": (413, "payload-too-large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "unsupported-media-type"),
    "THROTTLED": (429, "too-many-runs"),
    "QUOTA_EXCEEDED": (429, "too-many-runs"),
    "BAD_REQUEST_BODY": (400, "invalid-request"),
    "BAD_REQUEST_PARAMETERS": (400, "invalid-request"),
    "DEFAULT_4XX": (400, "invalid-request"),
    "AUTHORIZER_FAILURE": (503, "unavailable"),
    "AUTHORIZER_CONFIGURATION_ERROR": (503, "unavailable"),
    "API_CONFIGURATION_ERROR": (500, "internal-error"),
    "DEFAULT_5XX": (500, "internal-error"),
    "INTEGRATION_FAILURE": (503, "unavailable"),
    "INTEGRATION_TIMEOUT": (503, "unavailable"),
}


def integration_uri(operation: dict[str, Any]) -> str:
    uri: str = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    return uri


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("route", STREAMED)
def test_runs_are_streamed_for_as_long_as_the_function_may_take(route: tuple[str, str]) -> None:
    operation = routes()[route]
    assert integration_uri(operation).endswith(
        "path/2021-11-15/functions/${StreamFunction.Arn}/response-streaming-invocations"
    )
    integration = operation["x-amazon-apigateway-integration"]
    assert integration["responseTransferMode"] == "STREAM"
    assert properties("StreamFunction")["Timeout"] == {"Ref": "StreamTimeout"}
    timeout_s = stack()["Parameters"]["StreamTimeout"]["MaxValue"]
    assert integration["timeoutInMillis"] == timeout_s * 1000


def test_everything_that_the_stream_function_answers_is_streamed() -> None:
    """No answer of its own has to fit into the 6 MB of a buffered one."""
    integrations = [found["x-amazon-apigateway-integration"] for found in routes().values()]
    ours = [one for one in integrations if "${StreamFunction.Arn}" in one["uri"]["Fn::Sub"]]
    assert len(ours) >= 5
    assert {one.get("responseTransferMode") for one in ours} == {"STREAM"}


def test_every_route_but_health_asks_the_authorizer() -> None:
    protected = {key for key, found in routes().items() if "BearerToken" in str(found)}
    assert set(routes()) - protected == {("/api/v1/health", "get")}
    scheme = openapi()["components"]["securitySchemes"]["BearerToken"]
    assert (scheme["in"], scheme["name"]) == ("header", "Authorization")
    authorizer = scheme["x-amazon-apigateway-authorizer"]
    assert (authorizer["type"], authorizer["authorizerResultTtlInSeconds"]) == ("token", 300)
    assert "AuthorizerFunction" in str(authorizer["authorizerUri"])


def test_preflights_need_no_token_and_name_any_origin() -> None:
    preflights = {path: found for (path, m), found in operations().items() if m == "options"}
    assert set(preflights) == {path for path, _ in routes()}
    for preflight in preflights.values():
        assert "BearerToken" not in str(preflight)
        default = preflight["x-amazon-apigateway-integration"]["responses"]["default"]
        origin = default["responseParameters"]["method.response.header.Access-Control-Allow-Origin"]
        assert origin == "'*'"


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", set()), ("X-Api-Version", {"X-Api-Version"}), ("X-A,x-b, X_C", {"X-A", "x-b", " X_C"})],
)
def test_both_doors_allow_the_same_headers_and_those_of_the_deployment(
    more: str, expected: set[str]
) -> None:
    given = {"Issuer": "https://issuer.test", "Audience": "me", "CorsAllowHeaders": more}
    found = load_resources(ROOT / "template.yaml", given)
    for operations_of in found["Api"].properties["Body"]["paths"].values():
        integration = operations_of["options"]["x-amazon-apigateway-integration"]
        sent = integration["responses"]["default"]["responseParameters"]
        value = sent["method.response.header.Access-Control-Allow-Headers"]
        assert (value[0], value[-1]) == ("'", "'")
        assert set(value[1:-1].split(",")) == {*cors.REQUEST_HEADERS, *expected}
    for function in ("StreamFunction", "StatusFunction"):
        variables = found[function].properties["Environment"]["Variables"]
        allowed = Settings.from_environment(variables).cors_allow_headers
        assert set(allowed) == {name.strip() for name in expected}


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ("", True),
        ("X-Api-Version", True),
        ("X-Api-Version,x_correlation_id", True),
        ("X-A, X-B", True),
        ("*", False),
        ("X-A,", False),
        ("X-A;X-B", False),
        ("X-A: 1", False),
        # It would end the constant that the preflight's mapping is.
        ("X-A','X-B", False),
    ],
)
def test_more_headers_are_named_one_by_one(headers: str, taken: bool) -> None:
    pattern = stack()["Parameters"]["CorsAllowHeaders"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, headers)) == taken


@pytest.mark.parametrize(
    ("base_path", "taken"),
    [
        ("", True),
        ("/assist", True),
        ("/assist/v1", True),
        ("/apis", True),
        ("/v1beta", True),
        ("assist", False),
        ("/assist/", False),
        ("/", False),
        ("//assist", False),
        ("/a/../b", False),
        ("/a b", False),
        ("/%61", False),
        # The API's own paths begin like that: which of the two is meant could not be told.
        ("/api", False),
        ("/api/v2", False),
        ("/v1", False),
    ],
)
def test_a_base_path_is_one_that_can_be_told_from_the_apis_own_paths(
    base_path: str, taken: bool
) -> None:
    pattern = stack()["Parameters"]["BasePath"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, base_path)) == taken


@pytest.mark.parametrize(
    ("origins", "taken"),
    [
        ("*", True),
        ("", True),
        ("https://app.example.com", True),
        ("https://app.example.com,http://localhost:3000", True),
        ("https://app.example.com, https://admin.example.com", True),
        # None of these would ever match what a browser sends.
        ("https://app.example.com/", False),
        ("https://*.example.com", False),
        ("app.example.com", False),
        ("https://app.example.com,*", False),
        ("null", False),
    ],
)
def test_origins_are_named_as_browsers_send_them(origins: str, taken: bool) -> None:
    pattern = stack()["Parameters"]["CorsOrigins"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, origins)) == taken


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_gateway_answers_with_problems(kind: str) -> None:
    status, name = ANSWERS[kind]
    configured = openapi()["x-amazon-apigateway-gateway-responses"]
    answer = configured.get(kind) or configured["DEFAULT_4XX" if status < 500 else "DEFAULT_5XX"]
    (template,) = answer["responseTemplates"].values()
    body = json.loads(template)
    assert (body["type"], body["status"]) == (f"urn:problem-type:{name}", status)
    assert body["title"] == problems.TITLES.get(name, body["title"])
    assert body["detail"]
    assert set(body) == {"type", "title", "status", "detail", "instance"}
    assert answer["statusCode"] == str(status)
    headers = {k.rpartition(".")[2]: v for k, v in answer["responseParameters"].items()}
    assert headers["Content-Type"] == "'application/problem+json'"
    assert headers["Access-Control-Allow-Origin"] == "'*'"
    unquoted = {name: value[1:-1] for name, value in headers.items()}
    assert {name: unquoted.get(name) for name in SECURITY_HEADERS} == SECURED
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert ("Retry-After" in headers) == (status in {429, 503})
    # A script reads no header that is not named to it.
    of_note = headers.keys() & set(cors.ANSWER_HEADERS)
    exposed = unquoted.get("Access-Control-Expose-Headers", "")
    assert exposed == ",".join(sorted(of_note))


def test_the_answers_table_leaves_out_no_configured_answer() -> None:
    assert set(openapi()["x-amazon-apigateway-gateway-responses"]) <= set(ANSWERS)


@pytest.mark.parametrize("name", REST_EVENTS)
def test_each_event_arrives_by_a_route_of_the_template(name: str) -> None:
    payload = event(name)
    route = (payload["resource"], payload["httpMethod"].lower())
    assert route in routes()
    parameters = payload["pathParameters"] or {}
    assert payload["resource"].format(**parameters) == payload["path"]
    protected = "BearerToken" in str(routes()[route])
    assert ("authorizer" in payload["requestContext"]) == protected


def test_every_route_has_an_event() -> None:
    named = [(event(name)["resource"], event(name)["httpMethod"].lower()) for name in REST_EVENTS]
    assert sorted(named) == sorted(routes())


def test_the_function_url_streams_what_the_rest_api_routes_to_the_same_function() -> None:
    url = properties("StreamFunctionUrl")
    assert (url["AuthType"], url["InvokeMode"]) == ("NONE", "RESPONSE_STREAM")
    # The function sends the headers itself; Lambda's would come twice.
    assert "Cors" not in url
    path = event("stream-run")["rawPath"]
    assert path.replace("docs_assistant", "{agentId}") in {path for path, _ in STREAMED}


def test_nothing_of_a_query_is_logged_or_traced() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage")
    said = json.loads(stage["AccessLogSetting"]["Fn::If"][1]["Format"])
    named = set(re.findall(r"\$context\.([\w.]+)", json.dumps(said)))
    assert named == {
        *("extendedRequestId", "requestTime", "httpMethod", "resourcePath", "status"),
        *("responseLatency", "responseLength", "identity.sourceIp"),
        *("authorizer.orgId", "authorizer.userId", "error.responseType"),
    }
    # Execution logs and traces have the whole URL, a ticket in it too.
    (methods,) = stage["MethodSettings"]
    assert not {"LoggingLevel", "DataTraceEnabled"} & set(methods)
    assert "TracingEnabled" not in stage
    assert [each for each in of_type("AWS::Lambda::Function") if "TracingConfig" in each] == []


def test_the_access_log_is_json() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage")
    assert "status" in json.loads(stage["AccessLogSetting"]["Fn::If"][1]["Format"])


def test_the_base_url_names_the_stage() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage")
    assert stack()["Outputs"]["RestApiBaseUrl"]["Value"]["Fn::Sub"].endswith(
        f"/{stage['StageName']}"
    )
