"""Requests: one strict reading of JSON, what is said of a bad one, and the answer asked for."""

import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agentrun.domain.approvals import ContinueRequest
from agentrun.domain.errors import InvalidRequestError, PayloadTooLargeError
from agentrun.domain.requests import RunRequest
from agentrun.http.requests import (
    MAX_BODY_BYTES,
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_NUMBER_CHARACTERS,
    parse_json,
    read_json,
    validated,
    wants_stream,
)


def request(body: bytes, content_type: str | None = "application/json", **headers: str) -> Request:
    """Return a request whose body comes in pieces; asking for more than it has is an error."""
    pieces = [body[:10], body[10:]]
    messages = [
        {"type": "http.request", "body": piece, "more_body": more}
        for piece, more in zip(pieces, (True, False), strict=True)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    given = headers | ({} if content_type is None else {"content-type": content_type})
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


REFUSED = {
    "nothing": (b"", "is empty"),
    "white space": (b" \r\n\t", "is empty"),
    "no JSON": (b"message=m", "is not JSON"),
    "two values": (b"{} {}", "is not JSON: Extra data"),
    "a comma too many": (b'{"a":1,}', "is not JSON"),
    "single quotes": (b"{'a':1}", "is not JSON"),
    "a comment": (b"{} // m", "is not JSON"),
    "an unfinished string": (b'{"a":"', "is not JSON"),
    "a raw control character": (b'{"a":"\n"}', "is not JSON"),
    "a raw NUL": (b"\0", "is not JSON"),
    "NaN": (b'{"a":NaN}', "NaN is no number"),
    "Infinity": (b"[-Infinity]", "-Infinity is no number"),
    "a number beyond a double": (b"[1e400]", "too large"),
    "a long integer": (b"9" * (MAX_NUMBER_CHARACTERS + 1), "number of more than"),
    "a very long integer": (b"-" + b"9" * 1_000_000, "number of more than"),
    "a long fraction": (b"0." + b"1" * MAX_NUMBER_CHARACTERS, "number of more than"),
    "a long exponent": (b"1e" + b"0" * MAX_NUMBER_CHARACTERS + b"1", "number of more than"),
    "a leading zero": (b"01", "is not JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "is not UTF-8"),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "is not JSON"),
    "Latin-1": ('{"a":"é"}'.encode("latin-1"), "is not UTF-8"),
    "an overlong NUL": (b'"\xc0\x80"', "is not UTF-8"),
    "a surrogate as UTF-8": (b'"\xed\xa0\x80"', "is not UTF-8"),
    "half of a pair": (rb'{"a":"\ud83d"}', "half of a surrogate pair"),
    "the other half": (rb'["\uDE00"]', "half of a surrogate pair"),
    "halves in the wrong order": (rb'"\ude00\ud83d"', "half of a surrogate pair"),
    "half of a pair in a name": (rb'{"x":{"\ud83d":1}}', "half of a surrogate pair"),
    "the same name twice": (b'{"a":1,"a":1}', "the same name twice"),
    "the same name in other letters": (rb'{"a":1,"\u0061":2}', "the same name twice"),
    "the same name deep inside": (b'[{"b":{"a":1,"a":2}}]', "the same name twice"),
    "arrays too deep": (nested(MAX_DEPTH + 1), "levels deep"),
    "objects too deep": (nested(MAX_DEPTH + 1, '{"a":', "}"), "levels deep"),
    "arrays far too deep": (b"[" * 5_000_000, "arrays and objects"),
    "too many arrays": (b"[" + b"[]," * MAX_CONTAINERS + b"1]", "arrays and objects"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_parsers_might_read_differently_is_refused(name: str) -> None:
    body, reason = REFUSED[name]
    with pytest.raises(InvalidRequestError) as caught:
        parse_json(body)
    assert reason in str(caught.value)
    assert caught.value.params[0][0] == "body"
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_DEPTH),
        nested(MAX_DEPTH, '{"a":', "}"),
        b'{"a":"' + b"[{" * MAX_CONTAINERS + b'"}',
        rb'{"a":"\"[[\\"}',
        rb'["\ud83d\ude00", "\\ud83d", "\u0000"]',
        '["\U0001f600\u2028\u0085\ufeff\U0010ffff"]'.encode(),
        b"9" * MAX_NUMBER_CHARACTERS,
        b"-0.0",
        b"1E+2",
        b'{"a":{"x":1},"b":{"x":1}}',
        b" [ null , true ] \r\n",
        b'"' + rb"\\" * 100_000 + b'"',
    ],
)
def test_everything_else_is_read_as_it_stands(body: bytes) -> None:
    assert parse_json(body) == json.loads(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json; version=1",
        "application/vnd.agentrun+json",
    ],
)
@pytest.mark.anyio
async def test_json_is_taken_under_its_names(content_type: str) -> None:
    assert await read_json(request(b'{"message":"m"}', content_type)) == {"message": "m"}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json, text/plain",
        "multipart/form-data; boundary=application/json",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=latin-1",
        "application/x-www-form-urlencoded",
    ],
)
@pytest.mark.anyio
async def test_another_type_or_charset_is_415(content_type: str | None) -> None:
    with pytest.raises(HTTPException) as caught:
        await read_json(request(b"{}", content_type))
    assert caught.value.status_code == 415


@pytest.mark.anyio
async def test_a_compressed_body_is_415() -> None:
    with pytest.raises(HTTPException) as caught:
        await read_json(request(b"\x1f\x8b", content_encoding="gzip"))
    assert caught.value.status_code == 415


@pytest.mark.anyio
async def test_a_body_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(PayloadTooLargeError):
        await read_json(request(b"[" * (MAX_BODY_BYTES + 1)))
    body = b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"'
    assert len(str(await read_json(request(body)))) == MAX_BODY_BYTES - 2


URL = "must be an http or https URL"


def reasons(model: type[RunRequest | ContinueRequest], value: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        validated(value, model)
    return dict(caught.value.params)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], {"body": "must be an object"}),
        (None, {"body": "must be an object"}),
        ({}, {"message": "is missing"}),
        ({"message": 5}, {"message": "must be a string"}),
        ({"message": " \n"}, {"message": "must not be only white space"}),
        ({"message": "m", "sessionId": "x"}, {"sessionId": "must be a UUID"}),
        ({"message": "m", "session_id": 5}, {"session_id": "must be a UUID"}),
        ({"message": "m", "options": []}, {"options": "must be an object"}),
        (
            {"message": "m", "options": {"temperature": "1", "maxTokens": True}},
            {"options.temperature": "must be a number", "options.maxTokens": "must be a number"},
        ),
        (
            {"message": "m", "options": {"maxTokens": 1e300}},
            {"options.maxTokens": "is too large"},
        ),
        ({"message": "m", "media": {}}, {"media": "must be an array"}),
        ({"message": "m", "media": [1, 2]}, {"media.0": "must be an object"}),
        (
            {"message": "m", "generateFollowups": "yes"},
            {"generateFollowups": "must be true or false"},
        ),
        ({"message": "m", "webhook": {"url": "ftp://a.example"}}, {"webhook.url": URL}),
        ({"message": "m", "webhook": {"url": "https://a example"}}, {"webhook.url": URL}),
        ({"message": "m", "webhook": {"url": "https://a.example\n"}}, {"webhook.url": URL}),
        ({"message": "m", "webhook": {"url": "https://"}}, {"webhook.url": URL}),
        ({"message": "m", "userId": "u" * 257}, {"userId": None}),
        ({"message": "m", "userId": ""}, {"userId": "must have at least 1 character"}),
        ({"message": "m", "orgId": "o" * 257}, {"orgId": None}),
        ({"message": "m" * 100_001}, {"message": None}),
    ],
)
def test_each_field_at_fault_is_named_in_the_words_of_json(
    value: Any, expected: dict[str, str | None]
) -> None:
    found = reasons(RunRequest, value)
    assert set(found) == set(expected)
    assert all(found[name] == reason for name, reason in expected.items() if reason is not None)
    assert all(why.startswith(("must ", "is ")) for why in found.values())
    assert not any("valid dictionary" in why or "tuple" in why.lower() for why in found.values())


def test_a_list_is_given_up_at_its_first_bad_item() -> None:
    million = [1] * 1_000_000
    assert set(reasons(RunRequest, {"message": "m", "media": million})) == {"media.0"}
    assert "decisions.0" in reasons(ContinueRequest, {"decisions": million})


@pytest.mark.parametrize("value", [1, 1.0, 65_536, 65_536.0])
def test_a_whole_number_may_have_a_fraction_of_nought(value: float) -> None:
    found = validated({"message": "m", "options": {"maxTokens": value}}, RunRequest)
    assert found.options.max_tokens == int(value)


def accepting(*lines: str) -> Request:
    headers = [(b"accept", line.encode("latin-1")) for line in lines]
    return Request({"type": "http", "method": "POST", "headers": headers})


@pytest.mark.parametrize(
    "lines",
    [
        ("text/event-stream",),
        ("TEXT/Event-Stream",),
        ("text/event-stream; charset=utf-8",),
        (" text/event-stream ;q=0.001",),
        ("application/json, text/event-stream;q=0.5",),
        ("application/json", "text/event-stream"),
        ('application/json; x="a,b", text/event-stream',),
        ("text/event-stream;q=0.0, text/event-stream;q=1",),
    ],
)
def test_a_stream_is_wanted_where_accept_names_its_type(lines: tuple[str, ...]) -> None:
    assert wants_stream(accepting(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        ("*/*",),
        ("text/*",),
        ("application/json",),
        ("text/event-stream;q=0",),
        ("text/event-stream; Q=0.000",),
        ("text/event-stream;charset=utf-8;q=0, */*",),
        ("text/event-streams",),
        ("x-text/event-stream",),
        ('application/json; x="text/event-stream"',),
        ('application/json; x=", text/event-stream,"',),
    ],
)
def test_anything_else_is_one_json_answer(lines: tuple[str, ...]) -> None:
    assert not wants_stream(accepting(*lines))
