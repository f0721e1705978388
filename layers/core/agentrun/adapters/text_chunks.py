"""Long texts as table items: compressed and sliced, some with a first chunk to preview."""

import zlib
from collections.abc import Sequence

PREVIEW_BYTES = 4096
SLICE_BYTES = 350 * 1024
"""Well under DynamoDB's item limit of 400 KB, keys and attribute names included."""


def compress(text: str) -> bytes:
    """Give a text's UTF-8, compressed."""
    return zlib.compress(text.encode())


def decompress(packed: bytes) -> str:
    """Undo `compress`."""
    return zlib.decompress(packed).decode()


def cut_utf8(text: str, limit_bytes: int = PREVIEW_BYTES) -> tuple[str, bool]:
    """Cut a text to `limit_bytes` of UTF-8 at a character boundary; tell whether it was cut."""
    # A character has at most 4 bytes in UTF-8, so most texts need no encoding to be let through.
    if len(text) * 4 <= limit_bytes:
        return text, False
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text, False
    return encoded[:limit_bytes].decode(errors="ignore"), True


def to_slices(text: str) -> list[bytes]:
    """Split a text for storage, compressed as one; at least one slice."""
    packed = compress(text)
    return [packed[at : at + SLICE_BYTES] for at in range(0, len(packed), SLICE_BYTES)]


def from_slices(slices: Sequence[bytes]) -> str:
    """Undo `to_slices`; needs all slices in order."""
    return decompress(b"".join(slices))


def to_chunks(text: str) -> list[bytes]:
    """
    Split a text for storage so that its beginning can be read alone.

    Returns:
        The compressed first 4096 bytes, readable by itself; then slices of the compressed rest.
    """
    preview, was_cut = cut_utf8(text)
    return [compress(preview), *(to_slices(text[len(preview) :]) if was_cut else [])]


def from_chunks(chunks: Sequence[bytes]) -> str:
    """Undo `to_chunks`; needs all chunks in order."""
    first, *rest = chunks
    return decompress(first) + (from_slices(rest) if rest else "")
