"""Media of a request, and which types there are."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from pydantic import Field

from agentrun.domain.value import Value

MAX_MEDIA = 10
MAX_INLINE_BYTES = 4 * 1024 * 1024
"""Limit on all inline media of a request, decoded: as base64 they must fit into Lambda's 6 MB."""

MAX_DOWNLOAD_BYTES = 10 * 1024 * 1024
"""Limit on each file that is given by URL."""


class LoadedMedia(Value):
    """A file whose bytes do not contradict its type; `type` is in lower case, no parameters."""

    type: str
    data: bytes = Field(min_length=1, repr=False)


class MediaLoader(Protocol):
    """Downloads the files that a request gives by URL."""

    async def load(self, urls: Mapping[str, str]) -> Mapping[str, bytes]:
        """
        Download everything from public hosts, or nothing.

        Args:
            urls: http or https URLs by the request's field, such as `media.0.data`.

        Returns:
            The content of each URL, by the same names; at most `MAX_DOWNLOAD_BYTES` each.

        Raises:
            InvalidRequestError: A URL is not allowed, or did not answer in time; names its field.
            PayloadTooLargeError: A file is too large; the message names its field.
        """
        ...


# RFC 6838, section 4.2, in lower case.
_NAME = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
_ESSENCE = re.compile(rf"{_NAME}/{_NAME}")

# The signatures are those of the WHATWG MIME Sniffing Standard, section 6.
_SIGNATURES: dict[str, Callable[[bytes], bool]] = {
    "image/png": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": lambda data: data.startswith(b"\xff\xd8\xff"),
    "image/gif": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    "image/webp": lambda data: data.startswith(b"RIFF") and data[8:14] == b"WEBPVP",
    "application/pdf": lambda data: data.startswith(b"%PDF-"),
}


def essence(media_type: str) -> str:
    """
    Return `type/subtype` of a MIME type in lower case, without its parameters.

    Types are compared without case (RFC 2045, section 5.1), and parameters do not matter here.

    Raises:
        ValueError: It is not a MIME type.
    """
    found = media_type.partition(";")[0].strip(" \t").lower()
    if not _ESSENCE.fullmatch(found):
        raise ValueError("must be a MIME type such as image/png")
    return found


def contradicts(media_type: str, data: bytes) -> bool:
    """
    Tell whether bytes cannot be of a type, given as its essence.

    PNG, JPEG, GIF, WebP and PDF, and nothing else, begin with their signatures; text is UTF-8.
    Bytes of other types are not checked.
    """
    signed = next((name for name, begins in _SIGNATURES.items() if begins(data)), None)
    if signed is not None or media_type in _SIGNATURES:
        return media_type != signed
    return media_type.startswith("text/") and not _is_utf8(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def packed_media(media: tuple[LoadedMedia, ...]) -> bytes:
    """
    Write media as bytes that `unpacked_media` reads.

    A line of JSON lists the type and the length of each; their bytes follow, one after the other.
    """
    index = json.dumps([[item.type, len(item.data)] for item in media])
    return b"".join((index.encode(), b"\n", *(item.data for item in media)))


def unpacked_media(packed: bytes) -> tuple[LoadedMedia, ...]:
    """Undo `packed_media`."""
    index, _, rest = packed.partition(b"\n")
    media: list[LoadedMedia] = []
    for media_type, length in json.loads(index):
        media.append(LoadedMedia(type=media_type, data=rest[:length]))
        rest = rest[length:]
    return tuple(media)
