"""The files that go with a message, once they are bytes, and the port that downloads them."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import Field

from agentrun.domain.model import Model

MAX_MEDIA = 10
MAX_INLINE_BYTES = 4 * 1024 * 1024
"""Of all inline media of a request, decoded: as base64 they must fit into Lambda's 6 MB."""

MAX_DOWNLOAD_BYTES = 10 * 1024 * 1024
"""Of each file that is given by URL."""


class LoadedMedia(Model):
    """A file whose bytes do not contradict its type; `type` is in lower case, no parameters."""

    type: str
    data: bytes = Field(min_length=1, repr=False)


class MediaLoader(Protocol):
    """Downloads the files that a request gives by URL."""

    async def load(self, urls: Mapping[str, str]) -> Mapping[str, bytes]:
        """
        Download everything from public hosts, or nothing.

        Args:
            urls: http or https URLs by the request's field that holds each, as `media.0.data`.

        Returns:
            What each URL gave, by the same names; at most `MAX_DOWNLOAD_BYTES` each.

        Raises:
            InvalidRequestError: A URL is not allowed, or gave nothing in time; names its field.
            PayloadTooLargeError: A file is too large; the message names its field.
        """
        ...
