"""Cursors of lists: where in one the next page begins."""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

from agentrun.domain.errors import InvalidRequestError

_DIGEST_BYTES = 8
_MAX_CHARACTERS = 240
"""An instant of 24 characters, two ids of at most 64 and the digest come to less, as base64."""


def cursor_at(list_key: str, position: str) -> str:
    """
    Return the cursor behind a position, such as the index's sort key, of the list with this key.

    The digest only tells mistakes: there is nothing to protect, since a cursor says where in the
    caller's own list to go on, and whose list that is comes from the caller's token.
    """
    packed = _digest(list_key, position) + position.encode()
    return urlsafe_b64encode(packed).decode().rstrip("=")


def position_of(list_key: str, cursor: str, *, of: str = "these sessions") -> str:
    """
    Return the position that a cursor was made of.

    Raises:
        InvalidRequestError: It was not given out for this list.
    """
    try:
        if len(cursor) > _MAX_CHARACTERS:
            raise ValueError
        packed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = packed[_DIGEST_BYTES:].decode()
        # Made again, because base64 reads more than one spelling of the same bytes.
        if not position or cursor_at(list_key, position) != cursor:
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidRequestError(
            f"The cursor is not one that was given out for {of}.",
            params=[("cursor", f"is not one that was given out for {of}")],
        ) from None
    return position


def _digest(list_key: str, position: str) -> bytes:
    text = f"{list_key}\0{position}".encode()
    return hashlib.blake2s(text, digest_size=_DIGEST_BYTES).digest()
