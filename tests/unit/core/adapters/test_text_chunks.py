"""Long texts as table items."""

import random
import zlib

from hypothesis import given
from hypothesis import strategies as st

from agentrun.adapters.dynamo.texts import (
    WHOLE_BYTES,
    WHOLE_CHARACTERS,
    from_chunks,
    to_chunks,
)
from agentrun.domain.runs import PREVIEW_BYTES, cut_utf8


@given(st.text(), st.integers(min_value=0, max_value=50))
def test_a_cut_text_is_the_longest_prefix_that_fits(text: str, limit: int) -> None:
    cut, was_cut = cut_utf8(text, limit)
    assert text.startswith(cut)
    assert was_cut == (cut != text)
    assert len(cut.encode()) <= limit
    if was_cut:
        assert len((cut + text[len(cut)]).encode()) > limit


@given(st.text(), st.integers(min_value=0, max_value=3000), st.sampled_from(["output", "messages"]))
def test_any_text_comes_back_from_its_chunks(text: str, repeats: int, name: str) -> None:
    whole = text * repeats
    assert from_chunks(name, to_chunks(name, whole)) == whole


def test_the_first_chunk_has_the_preview() -> None:
    for text in ("é" * 10_000, hard_to_pack(100_000)):
        first = from_chunks("output", to_chunks("output", text)[:1])
        assert cut_utf8(first, PREVIEW_BYTES)[0] == cut_utf8(text, PREVIEW_BYTES)[0]


def test_a_text_that_is_read_as_cheaply_as_its_preview_is_one_chunk() -> None:
    assert len(to_chunks("output", hard_to_pack(7_500))) == 1
    chunks = to_chunks("output", hard_to_pack(10_000))
    assert len(chunks) == 2
    assert sum(map(len, chunks)) > WHOLE_BYTES


def test_no_preview_unpacks_a_text_of_any_length() -> None:
    text = "again " * WHOLE_CHARACTERS
    assert from_chunks("output", to_chunks("output", text)[:1]) == text[:PREVIEW_BYTES]


def test_an_earlier_version_and_this_one_read_each_others_texts() -> None:
    """The first chunk was the preview and nothing else; each part stands for itself."""
    text = hard_to_pack(7_500)
    parts = (text[:PREVIEW_BYTES], text[PREVIEW_BYTES:])
    earlier = [zlib.compress(part.encode()) for part in parts]
    assert from_chunks("output", earlier) == text
    assert from_chunks("output", earlier[:1]) == text[:PREVIEW_BYTES]
    first, *others = to_chunks("output", text)
    rest = zlib.decompress(b"".join(others)) if others else b""
    assert (zlib.decompress(first) + rest).decode() == text


def hard_to_pack(characters: int) -> str:
    """Return random digits, which take a little less than half."""
    return "".join(random.Random(1).choices("0123456789", k=characters))
