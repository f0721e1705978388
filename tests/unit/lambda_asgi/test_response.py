"""The payload of a streamed response: prelude, delimiter, body."""

import json

import pytest

from lambda_asgi.errors import PreludeTooLargeError, UnexpectedMessageError
from lambda_asgi.response import FILLER, MAX_PRELUDE_BYTES, ResponseEncoder, encode_prelude


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


BODILESS = pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)]
)


@BODILESS
def test_a_response_without_a_body_drops_what_is_sent_for_one(method: str, status: int) -> None:
    encoder = ResponseEncoder(method)
    encoder.encode(_start(status))
    assert encoder.encode(_body(b"content", more=True)) == b""
    assert encoder.encode(_body(b"content")) == FILLER
    assert encoder.complete


@BODILESS
def test_the_length_of_a_body_that_is_not_sent_is_left_out(method: str, status: int) -> None:
    prelude = ResponseEncoder(method).encode(_start(status, [(b"Content-Length", b"99")]))
    assert b"content-length" not in prelude


def test_no_payload_ends_behind_its_delimiter() -> None:
    for parts in ([b""], [b"", b""], []):
        encoder = ResponseEncoder("GET")
        payload = encoder.encode(_start(headers=[(b"content-length", b"0")]))
        assert b"content-length" not in payload
        payload += b"".join(encoder.encode(_body(part, more=True)) for part in parts)
        payload += encoder.encode(_body(b""))
        assert payload.endswith(bytes(8) + FILLER)
        assert encoder.filler() == b""


def test_a_body_of_any_byte_stays_as_it_is() -> None:
    encoder = ResponseEncoder("GET")
    payload = encoder.encode(_start(headers=[(b"content-length", b"1")]))
    payload += encoder.encode(_body(b"0", more=True)) + encoder.encode(_body(b""))
    assert payload.endswith(b'{"content-length":"1"},"cookies":[]}' + bytes(8) + b"0")


def test_a_body_shorter_than_its_length_is_not_complete() -> None:
    encoder = ResponseEncoder("GET")
    encoder.encode(_start(headers=[(b"Content-Length", b"4")]))
    encoder.encode(_body(b"ab", more=True))
    with pytest.raises(UnexpectedMessageError, match="1 bytes shorter than its Content-Length"):
        encoder.encode(_body(b"c"))
    with pytest.raises(UnexpectedMessageError, match="shorter"):
        encoder.finish()
    assert not encoder.complete


def test_a_body_longer_than_its_length_is_refused() -> None:
    encoder = ResponseEncoder("GET")
    encoder.encode(_start(headers=[(b"content-length", b"2")]))
    with pytest.raises(UnexpectedMessageError, match="longer than its Content-Length"):
        encoder.encode(_body(b"abc", more=True))


def test_a_length_that_is_no_number_is_not_judged() -> None:
    encoder = ResponseEncoder("GET")
    encoder.encode(_start(headers=[(b"content-length", b"many")]))
    assert encoder.encode(_body(b"abc")) == b"abc"


def test_fields_that_asgi_gives_a_default_may_be_absent() -> None:
    encoder = ResponseEncoder("GET")
    encoder.encode({"type": "http.response.start", "status": 200})
    assert encoder.encode({"type": "http.response.body"}) == FILLER
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
