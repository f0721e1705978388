"""Which URLs media may come from, by what they look like."""

import re
from urllib.parse import urlsplit

MAX_URL_CHARACTERS = 8_000
"""What every recipient of HTTP should take (RFC 9110, section 4.1)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = re.compile(r"[!-~]+")


class UnusableUrlError(Exception):
    """A URL that is not allowed or gives nothing; its text goes on with "media.0.data …"."""


class DownloadTooLargeError(Exception):
    """A URL that holds more bytes than are taken."""


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
