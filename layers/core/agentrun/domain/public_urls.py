"""Which URLs that callers choose may be connected to, by their text and by where they lead."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARACTERS = 8_000
"""The least that every recipient should support (RFC 9110, section 4.1)."""

DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = re.compile(r"[!-~]+")

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that IANA has given out; each translation from IPv4 in it is looked at below."""
_SPECIAL = (
    # The IETF's own, Teredo (RFC 4380) with its IPv4 addresses inside among them.
    IPv6Network("2001::/23"),
    # 6to4, which leads to the IPv4 address inside (RFC 3056).
    IPv6Network("2002::/16"),
    # For documents (RFC 3849 and RFC 9637).
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
"""What `is_global` says of these differs between versions of Python."""
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
"""Bytes 8 to 11 of an address that leads to an IPv4 address (RFC 5214)."""
_RESERVED = (
    # The IETF's own, of which `is_global` lets some through (RFC 6890).
    IPv4Network("192.0.0.0/24"),
    # 6to4's relays, which are no longer to be used (RFC 7526).
    IPv4Network("192.88.99.0/24"),
    # Azure's platform channel, the one such address that looks public.
    IPv4Network("168.63.129.16/32"),
)
# Where an IPv4 address stands: in 6to4's, and in translations' by the length of their prefix, where
# byte 8 is skipped (RFC 6052, section 2.2).
_TRANSLATED = (
    (2, 3, 4, 5),
    (4, 5, 6, 7),
    (5, 6, 7, 9),
    (6, 7, 9, 10),
    (7, 9, 10, 11),
    (9, 10, 11, 12),
    (12, 13, 14, 15),
)
_METADATA = tuple(
    IPv4Network(block)
    for block in ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32")
)
"""Where clouds serve credentials: refused in every notation, whatever prefix a network uses."""


class UnusableUrlError(Exception):
    """A URL is not allowed or cannot be loaded; the message continues its field's name."""


def split_url(url: str, *, any_port: bool = False) -> SplitResult:
    """
    Check a URL by its text, without looking up where it leads, and return its parts.

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
    if parts.scheme not in DEFAULT_PORTS:
        raise UnusableUrlError("leads to a URL that is neither http nor https")
    if "@" in parts.netloc:
        raise UnusableUrlError("leads to a URL with credentials")
    if port not in (None, DEFAULT_PORTS[parts.scheme]) and not any_port:
        raise UnusableUrlError("leads to a port other than 80 for http or 443 for https")
    return parts


def is_public_address(address: str) -> bool:
    """
    Tell whether an IP address is one of the public internet, however it is written.

    Addresses that lead to an IPv4 address by a translation or a tunnel are not: none of them is the
    only address of a public host.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return _is_public_ipv4(ip)
    return (
        ip.scope_id is None
        and ip in _GLOBAL_UNICAST
        and ip.is_global
        and not any(ip in block for block in _SPECIAL)
        and ip.packed[8:12] not in _ISATAP
        and not any(inner in block for inner in _translated(ip) for block in _METADATA)
    )


def is_loopback_address(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_public_ipv4(ip: IPv4Address) -> bool:
    return (
        ip.is_global
        and not ip.is_multicast
        and not ip.is_reserved
        and not any(ip in block for block in _RESERVED)
    )


def _translated(ip: IPv6Address) -> Iterator[IPv4Address]:
    return (IPv4Address(bytes(ip.packed[at] for at in places)) for places in _TRANSLATED)
