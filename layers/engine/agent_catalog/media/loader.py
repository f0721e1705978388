"""Downloads the files that a request gives by URL, all within one time limit."""

import asyncio
import re
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from agentrun.domain.errors import InvalidRequestError, PayloadTooLargeError
from agentrun.domain.media import MAX_DOWNLOAD_BYTES

MAX_URL_CHARACTERS = 8_000
"""The least that every recipient should support (RFC 9110, section 4.1)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = re.compile(r"[!-~]+")
MAX_AT_ONCE = 4


class UnusableUrlError(Exception):
    """A URL is not allowed or cannot be loaded; the message continues its field's name."""


class DownloadTooLargeError(Exception):
    """A URL leads to more bytes than are accepted."""


class UrlMediaLoader:
    """Downloads media from public hosts; implements the port `MediaLoader`."""

    def __init__(self, *, timeout_s: float = 10) -> None:
        """Limit each `load` to this time, without the import of the agent framework."""
        self._timeout_s = timeout_s

    async def load(self, urls: Mapping[str, str]) -> dict[str, bytes]:
        """Download all files or fail; see the port."""
        for name, url in urls.items():
            with _naming(name):
                check_url(url)
        # In a thread: it may have to import the agent framework, and other runs use the loop.
        download = await asyncio.to_thread(_load_download)
        slots = asyncio.Semaphore(MAX_AT_ONCE)
        deadline = asyncio.get_running_loop().time() + self._timeout_s

        async def load_one(name: str, url: str) -> bytes:
            with _naming(name):
                async with asyncio.timeout_at(deadline), slots:
                    return await download(url, max_bytes=MAX_DOWNLOAD_BYTES)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {name: group.create_task(load_one(name, url)) for name, url in urls.items()}
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
            raise first from first.__cause__
        return {name: task.result() for name, task in tasks.items()}


class _Download(Protocol):
    def __call__(self, url: str, *, max_bytes: int) -> Awaitable[bytes]: ...


def _load_download() -> _Download:
    # Imported here, so that requests without URLs, and START, do not wait for the framework.
    from agent_catalog.media.public_download import download  # noqa: PLC0415

    return download


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn a URL's fault into an error that names its field."""
    try:
        yield
    except UnusableUrlError as error:
        raise InvalidRequestError(f"{name} {error}.", params=[(name, str(error))]) from error
    except TimeoutError as error:
        late = "did not arrive in time"
        raise InvalidRequestError(f"{name} {late}.", params=[(name, late)]) from error
    except DownloadTooLargeError as error:
        raise PayloadTooLargeError(
            f"{name} leads to a file of more than {MAX_DOWNLOAD_BYTES} bytes."
        ) from error


def check_url(url: str) -> None:
    """
    Check a URL by its text, without looking up where it leads.

    Only default ports are allowed: otherwise callers could use the service to scan ports.

    Raises:
        UnusableUrlError: It has another scheme or port, or credentials, or is not a URL.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise UnusableUrlError(f"leads to a URL of more than {MAX_URL_CHARACTERS} characters")
    if not _VISIBLE_ASCII.fullmatch(url):
        raise UnusableUrlError("leads to a URL with characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnusableUrlError("leads to a URL that is not valid") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise UnusableUrlError("leads to a URL that is neither http nor https")
    if "@" in parts.netloc:
        raise UnusableUrlError("leads to a URL with credentials")
    if port not in (None, _DEFAULT_PORTS[parts.scheme]):
        raise UnusableUrlError("leads to a port other than 80 for http or 443 for https")
