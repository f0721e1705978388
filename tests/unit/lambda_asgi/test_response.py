"""The payload of a streamed response: prelude, delimiter, body."""

import json

import pytest

from lambda_asgi.errors import PreludeTooLargeError, UnexpectedMessageError
from lambda_asgi.response import MAX_PRELUDE_BYTES, ResponseEncoder, encode_prelude


def _start(status: int = 200, headers: object = ()) -> dict[str, object]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _body(data: bytes, *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _prelude(*headers: tuple[bytes, bytes]) -> dict[str, object]:
    encoded = encode_prelude(200, headers)
    assert encoded.endswith(bytes(8))
    prelude: dict[str, object] = json.loads(encoded[:-8])
    return prelude


def test_repeated_headers_are_joined_and_cookies_are_not() -> None:
    assert _prelude(
        (b"Vary", b"accept"), (b"set-cookie", b"a=1"), (b"vary", b"origin"), (b"Set-Cookie", b"b=2")
    ) == {"statusCode": 200, "headers": {"vary": "accept, origin"}, "cookies": ["a=1", "b=2"]}


def test_hop_by_hop_headers_are_dropped() -> None:
    prelude = _prelude((b"Transfer-Encoding", b"chunked"), (b"connection", b"close"), (b"x", b"y"))
    assert prelude["headers"] == {"x": "y"}


def test_header_bytes_are_latin_1_and_hold_no_delimiter() -> None:
    encoded = encode_prelude(200, [(b"x", b"caf\xe9\x00\x00\x00\x00\x00\x00\x00\x00")])
    assert encoded.index(bytes(8)) == len(encoded) - 8
    assert json.loads(encoded[:-8])["headers"]["x"].startswith("caf\xe9")


@pytest.mark.parametrize(("spare_bytes", "fits"), [(1, True), (0, False)])
def test_prelude_and_delimiter_stay_under_16_kb(spare_bytes: int, *, fits: bool) -> None:
    overhead = len(encode_prelude(200, [(b"x", b"")]))
    value = b"v" * (MAX_PRELUDE_BYTES - overhead - spare_bytes)
    if fits:
        assert len(encode_prelude(200, [(b"x", value)])) == MAX_PRELUDE_BYTES - 1
    else:
        with pytest.raises(PreludeTooLargeError, match="16384 bytes"):
            encode_prelude(200, [(b"x", value)])


def test_an_app_may_start_again_after_a_prelude_that_was_too_large() -> None:
    encoder = ResponseEncoder("GET")
    with pytest.raises(PreludeTooLargeError):
        encoder.encode(_start(headers=[(b"x", b"v" * MAX_PRELUDE_BYTES)]))
    assert encoder.encode(_start(500)).startswith(b'{"statusCode":500')


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_response_without_a_body_drops_what_is_sent_for_one(method: str, status: int) -> None:
    encoder = ResponseEncoder(method)
    encoder.encode(_start(status))
    assert encoder.encode(_body(b"content", more=True)) == b""
    assert encoder.encode(_body(b"content")) == b""
    assert encoder.complete


def test_fields_that_asgi_gives_a_default_may_be_absent() -> None:
    encoder = ResponseEncoder("GET")
    encoder.encode({"type": "http.response.start", "status": 200})
    assert encoder.encode({"type": "http.response.body"}) == b""
    assert encoder.complete


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([], _body(b"")),
        ([_start()], _start()),
        ([_start(), _body(b"")], _body(b"")),
        ([], {"type": "websocket.accept"}),
    ],
)
def test_messages_out_of_order_are_refused(
    before: list[dict[str, object]], message: dict[str, object]
) -> None:
    encoder = ResponseEncoder("GET")
    for earlier in before:
        encoder.encode(earlier)
    with pytest.raises(UnexpectedMessageError, match=str(message["type"])):
        encoder.encode(message)
