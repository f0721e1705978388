"""Answers of DynamoDB as they come over a socket: whole, in pieces, cut and garbled."""

import socket
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrun.adapters.dynamo.connection.http_session import MAX_HEAD_BYTES, Answer, NotHttpError

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nx-amz-crc32: 1\r\n\r\n{"a": {}}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4\r\n{"a"\r\n5;x=y\r\n: {}}\r\n0\r\nTrailer: x\r\n\r\n'
)


class Pieces:
    """A socket that hands out what was sent piece by piece, then its end."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = [piece for piece in pieces if piece]

    def recv(self, at_most: int) -> bytes:
        if not self.left:
            return b""
        piece = self.left.pop(0)
        if len(piece) > at_most:
            self.left.insert(0, piece[at_most:])
        return piece[:at_most]


def read(*pieces: bytes) -> Answer:
    source: Any = Pieces(*pieces)
    answer = Answer(cast("socket.socket", source))
    answer.read()
    return answer


@pytest.mark.parametrize("sent", [PLAIN, CHUNKED])
@given(data=st.data())
def test_an_answer_is_the_same_wherever_it_is_cut_into_pieces(
    sent: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=6)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    answer = read(*pieces)
    assert (answer.status, answer.body, answer.keeps_open) == (200, b'{"a": {}}', True)
    assert b"".join(answer.stream()) == answer.body


@pytest.mark.parametrize("sent", [PLAIN, CHUNKED])
def test_an_answer_that_is_cut_short_is_refused_wherever_it_is(sent: bytes) -> None:
    for length in range(len(sent)):
        with pytest.raises(NotHttpError):
            read(sent[:length])


@given(garbage=st.binary(max_size=300))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(NotHttpError):
        read(b"\0" + garbage)


@given(garbage=st.binary(max_size=60), at=st.integers(0, len(CHUNKED)))
def test_garbage_within_an_answer_is_refused_or_makes_another_answer(
    garbage: bytes, at: int
) -> None:
    try:
        answer = read(CHUNKED[:at] + garbage + CHUNKED[at:])
    except NotHttpError:
        return
    assert 200 <= answer.status <= 999


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 2 * MAX_HEAD_BYTES,
    ],
)
def test_what_is_not_http_is_refused(sent: bytes) -> None:
    with pytest.raises(NotHttpError):
        read(sent)


@pytest.mark.parametrize(
    ("sent", "keeps_open"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (PLAIN + b"HTTP/1.1 200 OK\r\n\r\n", False),
        (PLAIN + b"x", False),
    ],
)
def test_a_connection_is_kept_only_if_nothing_can_be_left_in_it(
    sent: bytes, keeps_open: bool
) -> None:
    assert read(sent).keeps_open is keeps_open


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert read(b"HTTP/1.1 200 OK\r\n\r\n", b"in ", b"pieces").body == b"in pieces"


def test_a_body_of_many_pieces_is_whole() -> None:
    body = bytes(range(256)) * 4096
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    pieces = [body[at : at + 99_999] for at in range(0, len(body), 99_999)]
    assert read(head, *pieces).body == body


def test_interim_answers_are_passed_over() -> None:
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN).body == b'{"a": {}}'


def test_headers_have_no_case_and_those_that_repeat_are_one() -> None:
    answer = read(b"HTTP/1.1 400 Bad\r\nX-A: 1\r\nx-a:\t2 \r\nX-B:\r\nContent-Length: 0\r\n\r\n")
    assert answer.headers == {"x-a": "1, 2", "x-b": "", "content-length": "0"}
