"""Looks up where callers' URLs lead, and refuses whatever is not public."""

import socket
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread

from agentrun.domain.public_urls import (
    DEFAULT_PORTS,
    UnusableUrlError,
    is_loopback_address,
    is_public_address,
    split_url,
)


@dataclass(frozen=True)
class Target:
    """Where a URL leads, with its name looked up: connect to these addresses and no others."""

    is_tls: bool
    host: str
    port: int
    path: str
    addresses: Sequence[str]

    @property
    def host_header(self) -> str:
        """The host, with the port if it is an unusual one (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = DEFAULT_PORTS["https" if self.is_tls else "http"]
        return host if self.port == usual else f"{host}:{self.port}"


class PublicHosts:
    """
    Decides by all addresses of a host.

    Args:
        allows_loopback: Whether this machine's own addresses are allowed as well, on any port: for
            a laptop, on which receivers are developed.
    """

    def __init__(self, *, allows_loopback: bool = False) -> None:
        self._allows_loopback = allows_loopback

    def target(self, url: str, *, timeout_s: float) -> Target:
        """
        Look up where a URL leads; blocks for the time-out at most.

        Raises:
            UnusableUrlError: By its text, or one of its host's addresses is not public, or there is
                none. One message for the latter, so that callers cannot find out internal names.
        """
        parts = split_url(url, any_port=self._allows_loopback)
        host = parts.hostname or ""
        try:
            addresses = _looked_up(host, timeout_s)
        except (OSError, ValueError) as error:
            raise UnusableUrlError("does not lead to a public host") from error
        if not (self._allows_loopback and all(map(is_loopback_address, addresses))):
            # Unusual ports are for this machine only.
            split_url(url)
            if not all(map(is_public_address, addresses)):
                raise UnusableUrlError("does not lead to a public host")
        path = parts.path or "/"
        return Target(
            is_tls=parts.scheme == "https",
            host=host,
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            path=f"{path}?{parts.query}" if parts.query else path,
            addresses=addresses,
        )


def _looked_up(host: str, timeout_s: float) -> list[str]:
    """
    Return a host's addresses, at least one, in the order in which to try them.

    Raises:
        OSError: There are none, or none in time.
        ValueError: It is no name of a host.
    """
    if not host:
        # Which the C library would take for this machine.
        raise ValueError("there is no host")
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.set_result(list(dict.fromkeys(str(answer[4][0]) for answer in answers)))
        except (OSError, ValueError) as error:
            found.set_exception(error)

    # The C library's own time-out is longer, and cannot be set.
    Thread(target=look_up, name="look-up", daemon=True).start()
    addresses = found.result(timeout_s)
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses
