"""
Base URLs, and which of them are of one server.

A file of its own: `agentrun smoke` and profiles read addresses in the same way.
"""

from urllib.parse import urlsplit

from agentrun_cli.errors import UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}


def base_url_of(text: str) -> str:
    """
    Check a base URL, and return it without a slash at its end.

    Raises:
        UsageError: Requests cannot be sent to it.
    """
    url = text.rstrip("/")
    if not is_base_url(url):
        raise UsageError(f"'{url}' is no base URL; one is https://HOST, with a path if need be")
    return url


def is_base_url(url: str) -> bool:
    """Tell whether requests can be sent to a URL with a path behind it."""
    try:
        parts = urlsplit(url)
        # Reading the port raises if it is not a number; the encoding, if the host is not a name.
        is_there = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False
    # What stands before an @ would be sent as a password, and shown in every message.
    is_plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    return is_there and is_plain and parts.scheme in _DEFAULT_PORTS


def is_loopback(url: str) -> bool:
    """Tell whether a URL is of this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port (RFC 6454): equal for URLs of one server."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
