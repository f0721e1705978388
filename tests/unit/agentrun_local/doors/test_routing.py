"""Requests take the route that API Gateway would choose."""

import pytest

from agentrun_local.doors.gateway_answers import GatewayError
from agentrun_local.doors.rest_definition import Route
from agentrun_local.doors.routing import RouteTable, base_path_of


def route(method: str, resource: str) -> Route:
    return Route(
        method=method,
        resource=resource,
        function="F",
        mock=None,
        streaming=False,
        authorizer=None,
        timeout_s=29,
    )


TABLE = RouteTable(
    [
        route("GET", "/"),
        route("GET", "/runs/{runId}"),
        route("DELETE", "/runs/{runId}"),
        route("POST", "/runs/stream"),
        route("GET", "/runs/status"),
        route("GET", "/runs/{runId}/stream"),
        route("ANY", "/files/{proxy+}"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "resource", "parameters"),
    [
        ("GET", "/", "/", {}),
        ("GET", "/runs/status", "/runs/status", {}),
        ("GET", "/runs/status/", "/runs/status", {}),
        ("GET", "/runs/7", "/runs/{runId}", {"runId": "7"}),
        ("DELETE", "/runs/a%2Fb%20c", "/runs/{runId}", {"runId": "a/b c"}),
        ("GET", "/runs/status/stream", "/runs/{runId}/stream", {"runId": "status"}),
        ("PATCH", "/files/a/b", "/files/{proxy+}", {"proxy": "a/b"}),
    ],
)
def test_the_most_specific_resource_wins(
    method: str, path: str, resource: str, parameters: dict[str, str]
) -> None:
    found, values = TABLE.match(method, path)
    assert (found.resource, values) == (resource, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("PUT", "/runs/7"), ("GET", "/runs"), ("GET", "/runs/7/x")],
)
def test_what_is_not_there_is_called_a_missing_token(method: str, path: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        TABLE.match(method, path)
    assert (refusal.value.response_type, refusal.value.status) == (
        "MISSING_AUTHENTICATION_TOKEN",
        403,
    )


def test_a_resource_without_the_method_hides_a_less_specific_one_that_has_it() -> None:
    with pytest.raises(GatewayError):
        TABLE.match("GET", "/runs/stream")


@pytest.mark.parametrize(
    ("path", "base_path"),
    [
        ("/assist/runs/1", "/assist"),
        ("/assist", "/assist"),
        ("/assistant/runs/1", ""),
        ("/runs/assist", ""),
        ("/runs/1", ""),
        # API Gateway compares what was sent.
        ("/%61ssist/runs/1", ""),
    ],
)
def test_a_mapping_covers_whole_segments(path: str, base_path: str) -> None:
    assert base_path_of(path, "/assist") == base_path
    assert base_path_of(path, "") == ""
