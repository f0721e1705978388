"""Lambda events as ASGI scopes; Starlette's Request is the judge."""

import base64
import string
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from lambda_asgi.events import HttpEvent, read_http_event
from tests.lambda_http_events import function_url_event, rest_event


def read(event: object) -> HttpEvent:
    request = read_http_event(event, context="the context")
    assert request is not None
    return request


def starlette(event: object) -> Request:
    return Request(read(event).scope)


def with_headers(event: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {**event, "headers": {**(event["headers"] or {}), **headers}}


@pytest.mark.parametrize("event", [function_url_event(), rest_event()])
def test_event_and_context_are_in_the_scope_as_they_came(event: dict[str, Any]) -> None:
    scope = read(event).scope
    assert scope["aws.event"] is event
    assert scope["aws.context"] == "the context"
    assert scope["asgi"]["spec_version"] == "2.4"


def test_repeated_query_parameters_survive() -> None:
    v1 = rest_event(
        queryStringParameters={"a": "2"}, multiValueQueryStringParameters={"a": ["1", "2 &"]}
    )
    for event in (v1, function_url_event(query="a=1&a=2%20%26")):
        assert starlette(event).query_params.getlist("a") == ["1", "2 &"]


def test_a_query_parameter_without_value_survives() -> None:
    assert starlette(function_url_event(query="flag&b=")).query_params.multi_items() == [
        ("flag", ""),
        ("b", ""),
    ]


def test_each_header_line_of_a_rest_api_stays_a_line() -> None:
    event = rest_event(headers={"Accept": "b"}, multiValueHeaders={"Accept": ["a", "b"]})
    assert starlette(event).headers.getlist("accept") == ["a", "b"]


def test_headers_without_multi_values_are_read() -> None:
    assert starlette(rest_event(headers={"X-A": "1", "X-B": None})).headers.items() == [
        ("x-a", "1")
    ]


@pytest.mark.parametrize(
    "event",
    [
        {**function_url_event(), "cookies": ["a=1", "b=2"]},
        rest_event(multiValueHeaders={"Cookie": ["a=1", "b=2"]}),
        rest_event(headers={"cookie": "a=1; b=2"}),
    ],
)
def test_all_cookies_are_read_from_one_line(event: dict[str, Any]) -> None:
    assert starlette(event).headers.getlist("cookie") == ["a=1; b=2"]
    assert starlette(event).cookies == {"a": "1", "b": "2"}


@pytest.mark.parametrize("make", [function_url_event, rest_event])
@pytest.mark.parametrize(
    ("sent", "path", "raw_path"),
    [
        ("/a%20b", "/a b", b"/a%20b"),
        ("/a%2Fb", "/a/b", b"/a%2Fb"),
        ("/100%25", "/100%", b"/100%25"),
        ("/%C3%A9", "/\xe9", b"/%C3%A9"),
        ("/\xe9 b", "/\xe9 b", b"/%C3%A9%20b"),
        ("", "/", b"/"),
    ],
)
def test_a_path_is_decoded_once_and_kept_raw(
    make: Any, sent: str, path: str, raw_path: bytes
) -> None:
    scope = read(make(sent)).scope
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == (path, raw_path, "")


@pytest.mark.parametrize(
    ("path", "below"), [("/dev/a", "/a"), ("/dev", "/"), ("/devil", "/devil"), ("/a", "/a")]
)
def test_the_stage_of_an_http_api_is_not_part_of_the_path(path: str, below: str) -> None:
    event = function_url_event(path)
    event["requestContext"]["stage"] = "dev"
    assert read(event).scope["path"] == below


def test_a_rest_api_path_may_begin_like_its_stage() -> None:
    assert read(rest_event("/Prod/a")).scope["path"] == "/Prod/a"


def test_an_http_api_event_of_payload_1_is_read() -> None:
    event = {**rest_event("/Prod/a"), "version": "1.0"}
    assert read(event).scope["path"] == "/a"


@pytest.mark.parametrize(
    ("body", "encoded", "expected"),
    [(None, False, b""), ("caf\xe9", False, "caf\xe9".encode()), ("AP8=", True, b"\x00\xff")],
)
def test_bodies_arrive_as_bytes(body: str | None, *, encoded: bool, expected: bytes) -> None:
    for event in (rest_event(), function_url_event()):
        assert read({**event, "body": body, "isBase64Encoded": encoded}).body == expected


@pytest.mark.parametrize(
    ("headers", "server"),
    [
        ({"Host": "example.com"}, ("example.com", 443)),
        ({"Host": "[::1]:8000"}, ("::1", 8000)),
        ({"Host": "example.com:port"}, ("example.com:port", 443)),
        ({"Host": "example.com", "X-Forwarded-Port": "8443"}, ("example.com", 8443)),
        ({"Host": "example.com", "X-Forwarded-Port": "a, b"}, ("example.com", 443)),
        ({"Host": "example.com", "X-Forwarded-Proto": "http"}, ("example.com", 80)),
        ({}, ("abc.execute-api.eu-west-1.amazonaws.com", 443)),
    ],
)
def test_the_server_is_read_from_any_host_header(
    headers: dict[str, str], server: tuple[str, int]
) -> None:
    assert read(rest_event(headers=headers)).scope["server"] == server


def test_the_scheme_is_the_one_nearest_to_the_client() -> None:
    event = with_headers(function_url_event(), **{"x-forwarded-proto": "https, http"})
    assert str(starlette(event).url) == "https://abc.lambda-url.eu-west-1.on.aws/"


def test_the_client_is_the_source_address_or_unknown() -> None:
    assert starlette(rest_event()).client == ("192.0.2.1", 0)
    nameless = rest_event()
    nameless["requestContext"]["identity"] = None
    assert starlette(nameless).client is None


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"source": "aws.events", "detail-type": "Scheduled Event", "version": "0"},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/"},
        {"requestContext": {"connectionId": "c", "routeKey": "$connect"}},
        {"version": "2.0", "requestContext": {"serviceNetworkArn": "arn"}},
    ],
)
def test_anything_else_is_no_http_event(event: object) -> None:
    assert read_http_event(event, context=None) is None


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
queries = st.dictionaries(text, st.lists(text, min_size=1, max_size=3), max_size=4)
bodies = st.binary(max_size=50)
paths = text.map(lambda path: "/" + path)
headers = st.dictionaries(names, values, max_size=5)


def _judge(
    event: dict[str, Any], path: str, query: dict[str, list[str]], sent: dict[str, str], body: bytes
) -> None:
    http_event = read(event)
    request = Request(http_event.scope)
    assert request.scope["path"] == path
    assert unquote(request.scope["raw_path"].decode("ascii")) == path
    assert {k: request.query_params.getlist(k) for k in request.query_params} == query
    lowered = {name.lower(): value for name, value in sent.items()}
    assert {name: request.headers[name] for name in lowered} == lowered
    assert request.url is not None
    assert isinstance(request.cookies, dict)
    assert http_event.body == body


@given(path=paths, query=queries, sent=headers, body=bodies)
def test_any_event_is_a_request(
    path: str, query: dict[str, list[str]], sent: dict[str, str], body: bytes
) -> None:
    encoded = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    event = function_url_event(quote(path), "POST", urlencode(query, doseq=True))
    _judge(event | {"headers": sent} | encoded, path, query, sent, body)
    event = rest_event(
        quote(path),
        headers=sent,
        multiValueHeaders={name: [value] for name, value in sent.items()},
        queryStringParameters={name: found[-1] for name, found in query.items()} or None,
        multiValueQueryStringParameters=query or None,
        **encoded,
    )
    _judge(event, path, query, sent, body)
