"""The boto3 client for Bedrock, whose requests can be given up while they wait."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

_CONNECT_TIMEOUT_S = 3.0
# botocore's standard mode waits up to 1 s before the second attempt and up to 2 s before the third.
_MAX_ATTEMPTS = 3
# One connection per concurrent run; botocore's default of 10 would discard and reopen the others.
_MAX_CONNECTIONS = 64


class _Call:
    """A request in progress, and the socket that its answer will come from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._given_up = False

    def check(self) -> None:
        # botocore neither wraps nor retries this exception.
        if self._given_up:
            raise CancelledError

    @contextmanager
    def waiting_on(self, connected: socket.socket | None) -> Iterator[None]:
        with self._lock:
            self.check()
            self._socket = connected
        try:
            yield
        except OSError:
            self.check()
            raise
        finally:
            with self._lock:
                self._socket = None

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._socket is not None:
                # Closing it would not wake the thread that reads from it.
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


_call: ContextVar[_Call | None] = ContextVar("_call", default=None)


@contextmanager
def given_up_on_failure() -> Iterator[None]:
    """
    Close the connection of the request made in the block if the block fails.

    boto3 waits for an answer's first byte in a thread, which pydantic-ai abandons when a run is
    cancelled: without this, the request would last until the read time-out, and a throttled one
    would still be retried.
    """
    call = _Call()
    token = _call.set(call)
    try:
        yield
    except BaseException:
        call.give_up()
        raise
    finally:
        _call.reset(token)


def bedrock_client(*, idle_timeout_s: float) -> Any:
    """
    Build a client that makes three attempts, with pauses of at most 3 s in all.

    Args:
        idle_timeout_s: How long a socket may be silent before its thread gives up, in seconds.

    Raises:
        botocore.exceptions.NoRegionError: No AWS setting names a region.
    """
    # Imported here: a process that runs other models does not need boto3's client.
    import boto3  # noqa: PLC0415
    from botocore.awsrequest import (  # noqa: PLC0415
        AWSHTTPConnection,
        AWSHTTPConnectionPool,
        AWSHTTPSConnection,
        AWSHTTPSConnectionPool,
    )
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=idle_timeout_s,
        retries={"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS},
        max_pool_connections=_MAX_CONNECTIONS,
        tcp_keepalive=True,
    )
    client = boto3.client("bedrock-runtime", config=config)
    # botocore has no setting for this; urllib3's managers, proxies' too, all use this one dict.
    client._endpoint.http_session._pool_classes_by_scheme.update(  # noqa: SLF001
        http=_pool(AWSHTTPConnectionPool, AWSHTTPConnection),
        https=_pool(AWSHTTPSConnectionPool, AWSHTTPSConnection),
    )
    return client


def _pool(pool: type[Any], connection: type[Any]) -> type[Any]:
    class Connection(connection):  # type: ignore[misc]
        def request(self, *args: Any, **kwargs: Any) -> Any:
            if (call := _call.get()) is not None:
                call.check()
            return super().request(*args, **kwargs)

        def getresponse(self) -> Any:
            if (call := _call.get()) is None:
                return super().getresponse()
            with call.waiting_on(self.sock):
                return super().getresponse()

    return type("InterruptiblePool", (pool,), {"ConnectionCls": Connection})
