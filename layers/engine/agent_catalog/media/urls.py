"""Which URLs may lead to media, by their text alone."""

import re
from urllib.parse import urlsplit

MAX_URL_CHARACTERS = 8_000
"""The least that every recipient should support (RFC 9110, section 4.1)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = re.compile(r"[!-~]+")


class UnusableUrlError(Exception):
    """A URL is not allowed or cannot be loaded; the message continues its field's name."""


class DownloadTooLargeError(Exception):
    """A URL leads to more bytes than are accepted."""


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
