"""What both clients are told, and what follows from it for each request."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict
from urllib.parse import urlsplit

import httpx

from agentrun_client.errors import AgentrunError, ConnectionFailedError
from agentrun_client.version import __version__
from agentrun_client.wire.backoff import Backoff
from agentrun_client.wire.call import Call
from agentrun_client.wire.tries import Tries

CONNECT_S = 10.0
FIRST_WAIT_S = 0.5
FIRST_WAIT_OF_STREAM_S = 1.0
"""What the server asks for with `retry:`, until it has asked for something else."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NO_URL = re.compile(r"[\s\x00-\x1f\x7f]")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class _Request(TypedDict):
    """What `httpx.Client.build_request` takes."""

    method: str
    url: str
    params: tuple[tuple[str, str], ...] | None
    headers: dict[str, str]
    content: bytes | None
    timeout: httpx.Timeout


class Settings(NamedTuple):
    """A client's settings; the token is not among them, so that no text of theirs can show it."""

    base_url: str
    stream_url: str
    max_retries: int
    max_reattaches: int
    can_renew_token: bool

    def request(self, call: Call[Any], token: str | None) -> _Request:
        """Return what is sent for a call."""
        headers = {"User-Agent": f"agentrun-client/{__version__}", **call.headers}
        headers.setdefault("Accept", "application/json")
        if call.needs_token and token is not None:
            headers["Authorization"] = f"Bearer {checked_token(token)}"
        return {
            "method": call.method,
            "url": (self.stream_url if call.door == "stream" else self.base_url) + call.path,
            "params": call.query or None,
            "headers": headers,
            "content": call.body,
            "timeout": httpx.Timeout(CONNECT_S, read=call.silence_s, write=call.silence_s),
        }

    def tries(self) -> Tries:
        """Count the tries of a request that is answered once."""
        backoff = Backoff(FIRST_WAIT_S)
        return Tries(self.max_retries, backoff, can_renew_token=self.can_renew_token)

    def tries_of_stream(self) -> Tries:
        """Count the tries of a stream's first request."""
        backoff = Backoff(FIRST_WAIT_OF_STREAM_S)
        return Tries(self.max_retries, backoff, can_renew_token=self.can_renew_token)


def settings_of(
    base_url: str,
    stream_url: str | None,
    *,
    max_retries: int,
    max_reattaches: int,
    can_renew_token: bool,
) -> Settings:
    """
    Check what a client is told.

    Raises:
        ValueError: A URL is not one of http or https, has a host or a port that is none, or has a
            user, a query or a fragment.
    """
    base = _checked_url(base_url)
    stream = base if stream_url is None else _checked_url(stream_url)
    return Settings(base, stream, max_retries, max_reattaches, can_renew_token)


def _checked_url(url: str) -> str:
    # An empty query is none to `urlsplit`, and yet every path would become part of it.
    if "?" in url or "#" in url or "@" in url.partition("//")[2].partition("/")[0]:
        # A user in the URL would be sent in place of the token.
        raise ValueError("a base URL has no user, no query and no fragment")
    if _NO_URL.search(url):
        raise ValueError(f"a base URL has no spaces and no control characters, not {url[:60]!r}")
    try:
        parts = urlsplit(url)
        # What the first request would fail of: a port above 65 535, a host that has no address.
        _, _ = parts.port, httpx.URL(url).host.encode("idna")
    except (ValueError, httpx.InvalidURL) as error:
        raise ValueError(f"the base URL {url[:60]!r} is none: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"a base URL begins with https:// or http:// and a host, not {url[:60]!r}")
    return url.rstrip("/")


def checked_token(token: object) -> str:
    """
    Return a token that may stand in a header.

    Raises:
        AgentrunError: It may not; the libraries below would show it in their own errors.
    """
    if isinstance(token, str) and _VISIBLE.fullmatch(token):
        return token
    raise AgentrunError("The token is empty, or has characters that no header can carry.")


def refusals_of(token: object) -> Callable[[str], None]:
    """Return what to tell of a token that was answered 401: its source, if that has `refused`."""
    refused: Callable[[str], None] = getattr(token, "refused", _ignore)
    return refused


def _ignore(_: str) -> None:
    pass


def connection_failed(error: httpx.RequestError) -> ConnectionFailedError:
    """Say what became of a connection, without the request's headers."""
    what = str(error) or type(error).__name__
    return ConnectionFailedError(f"No answer from {error.request.url.host}: {what}")


def was_sent(error: httpx.RequestError) -> bool:
    """Whether the server may have received the request."""
    return not isinstance(error, _NOT_SENT)
