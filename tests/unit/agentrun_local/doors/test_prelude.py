"""The prelude is found wherever the bytes are cut."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrun_local.doors.prelude import (
    DELIMITER,
    MAX_BYTES,
    MalformedAnswerError,
    Prelude,
    PreludeParser,
    read_head,
)

HEAD = {"statusCode": 201, "headers": {"content-type": "text/event-stream"}, "cookies": ["a=b"]}
PRELUDE = Prelude(201, (("content-type", "text/event-stream"), ("set-cookie", "a=b")))


@given(body=st.binary(max_size=60), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_split_gives_the_same_prelude_and_loses_no_byte(body: bytes, cuts: list[int]) -> None:
    stream = json.dumps(HEAD).encode() + DELIMITER + body
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    parser = PreludeParser()
    for number, piece in enumerate(pieces):
        found = parser.feed(piece)
        if found is not None:
            prelude, first = found
            assert prelude == PRELUDE
            assert first + b"".join(pieces[number + 1 :]) == body
            return
    raise AssertionError("no prelude found")


def test_nothing_is_given_before_the_delimiter_is_whole() -> None:
    parser = PreludeParser()
    assert parser.feed(json.dumps(HEAD).encode() + DELIMITER[:-1]) is None
    assert parser.feed(DELIMITER[:1]) == (PRELUDE, b"")


@pytest.mark.parametrize("fits", [True, False])
def test_prelude_and_delimiter_have_16_kb(fits: bool) -> None:
    empty = len(json.dumps({"headers": {"x": ""}}))
    filling = "x" * (MAX_BYTES - len(DELIMITER) - empty + (0 if fits else 1))
    stream = json.dumps({"headers": {"x": filling}}).encode() + DELIMITER
    if fits:
        assert PreludeParser().feed(stream) == (Prelude(200, (("x", filling),)), b"")
    else:
        with pytest.raises(MalformedAnswerError):
            PreludeParser().feed(stream)


def test_16_kb_without_a_delimiter_are_refused_at_once() -> None:
    parser = PreludeParser()
    assert parser.feed(b"x" * (MAX_BYTES - 1)) is None
    with pytest.raises(MalformedAnswerError):
        parser.feed(b"x")


@pytest.mark.parametrize("head", [b"", b"not json", b"[]", b'{"statusCode": 99}', b'"text"'])
def test_a_head_that_is_none_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        PreludeParser().feed(head + DELIMITER)


@pytest.mark.parametrize(
    ("document", "headers"),
    [
        ({"headers": {"a": 1, "b": True}}, (("a", "1"), ("b", "true"))),
        ({"headers": None, "multiValueHeaders": {"a": ["1", "2"]}}, (("a", "1"), ("a", "2"))),
        ({"headers": {"A": "0"}, "multiValueHeaders": {"a": ["1"]}}, (("a", "1"),)),
    ],
)
def test_headers_may_be_single_or_several(document: Any, headers: Any) -> None:
    assert read_head(document) == Prelude(200, headers)


@pytest.mark.parametrize(
    "document", [{"headers": []}, {"headers": {"a": {}}}, {"cookies": "a=b"}, {"statusCode": "x"}]
)
def test_a_head_of_wrong_types_is_refused(document: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        read_head(document)
