"""Downloads the files that a request gives by URL, all within one time limit."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from agent_catalog.media.urls import DownloadTooLargeError, UnusableUrlError, check_url
from agentrun.domain.errors import InvalidRequestError, PayloadTooLargeError
from agentrun.domain.media import MAX_DOWNLOAD_BYTES

MAX_AT_ONCE = 4


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
