"""Long texts as table items."""

from hypothesis import given
from hypothesis import strategies as st

from agentrun.adapters.dynamo.texts import from_chunks, to_chunks
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


def test_the_first_chunk_is_the_preview() -> None:
    text = "é" * 10_000
    assert from_chunks("output", to_chunks("output", text)[:1]) == cut_utf8(text, PREVIEW_BYTES)[0]
