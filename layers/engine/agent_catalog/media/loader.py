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
"""What every recipient of HTTP should take (RFC 9110, section 4.1)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = re.compile(r"[!-~]+")
MAX_AT_ONCE = 4


class UnusableUrlError(Exception):
    """A URL that is not allowed or gives nothing; its text goes on with "media.0.data …"."""


class DownloadTooLargeError(Exception):
    """A URL that holds more bytes than are taken."""


class UrlMediaLoader:
    """Downloads media from public hosts; implements the port `MediaLoader`."""

    def __init__(self, *, timeout_s: float = 10) -> None:
        """Give each `load` this time; importing the agent framework does not count."""
        self._timeout_s = timeout_s

    async def load(self, urls: Mapping[str, str]) -> dict[str, bytes]:
        """Download everything or nothing; see the port."""
        for name, url in urls.items():
            with _naming(name):
                check_url(url)
        # Off the event loop, which other runs use: it may have to load the agent framework.
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
    # Imported here: no request without URLs waits for it, and START comes before the framework.
    from agent_catalog.media.public_download import download  # noqa: PLC0415

    return download


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn what is wrong with a URL into an error that names its field."""
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
    Refuse a URL for what it looks like; where it leads is not looked up.

    Only the default ports are taken: a service that may be told to connect to any port of any
    host is a port scanner.

    Raises:
        UnusableUrlError: Another scheme or port, credentials, or not a URL at all.
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
