"""The boto3 client for Bedrock, whose requests can be given up while they wait."""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Generic, Self, TypeVar

from anyio import to_thread
from pydantic_core import from_json

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 3.0
# botocore's standard mode waits up to 1 s before the second attempt and up to 2 s before the third.
_MAX_ATTEMPTS = 3
# One connection per concurrent run; botocore's default of 10 would discard and reopen the others.
_MAX_CONNECTIONS = 64

_CLOSELY_S = 0.0005
"""Items that follow each other faster are taken together."""


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
            # An answer that was cut off among its headers looks whole.
            self.check()
        except Exception:
            # In its first line, it is no answer of HTTP, which would be retried.
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


class ReadAhead(Generic[T]):
    """
    Iterates over a blocking iterator, for one reader on an event loop.

    A thread reads until it is `ahead` items ahead; the reader takes what is there without a switch
    of threads for each item. Should the reader be cancelled, the thread is left to the iterator,
    which has to be made to end, as by closing its connection.
    """

    def __init__(self, source: Iterable[T], *, ahead: int = 256) -> None:
        self._source = iter(source)
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._is_read = False
        self._waiter: asyncio.Future[None] | None = None
        self._end: BaseException | None = None
        self._waited_at = float("-inf")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._is_read:
                assert self._end is not None  # noqa: S101 - set before it is said to be read
                raise self._end
            await self._wait()
        return self._items.popleft()

    async def _wait(self) -> None:
        if self._reading is None or self._reading.done():
            read = to_thread.run_sync(self._read, abandon_on_cancel=True)
            self._reading = asyncio.ensure_future(read)
            self._reading.add_done_callback(lambda _: _wake(self._waiter))
        now = self._loop.time()
        follows_closely, self._waited_at = now - self._waited_at < _CLOSELY_S, now
        if follows_closely:
            # Being woken for each item of a fast stream costs more than the item.
            await asyncio.sleep(_CLOSELY_S)
        waiter = self._waiter = self._loop.create_future()
        # The thread looks for a waiter after each item: none that it adds from here on is missed.
        if not self._items and not self._reading.done():
            await waiter

    def _read(self) -> None:
        try:
            while len(self._items) < self._ahead:
                self._items.append(next(self._source))
                if self._waiter is not None:
                    waiter, self._waiter = self._waiter, None
                    self._loop.call_soon_threadsafe(_wake, waiter)
        except StopIteration:
            self._end = StopAsyncIteration()
            self._is_read = True
        except BaseException as error:  # noqa: BLE001 - raised for the reader, after its items
            self._end = error
            self._is_read = True


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def read_streams_ahead() -> None:
    """
    Let pydantic-ai read the streams of all Bedrock models with `ReadAhead`.

    It asks a thread for each event, which takes several times as long as reading the event does,
    and has no setting for it.
    """
    import pydantic_ai.models.bedrock as library  # noqa: PLC0415 - loads boto3's types

    vars(library)["_AsyncIteratorWrapper"] = _read_ahead


def _read_ahead(stream: Iterable[T]) -> ReadAhead[T]:
    parts: dict[str, Any] = getattr(stream, "__dict__", {})
    # botocore's EventStream has no setting for its parser.
    if (usual := parts.get("_parser")) is not None:
        parts["_parser"] = _TextParser(usual)
    return ReadAhead(stream)


class _TextParser:
    """
    Parses the fragments of a text, which are nearly all events of a stream, as botocore does.

    It is faster: botocore looks up each value in its model of the service. All other events are
    left to it.
    """

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def parse(self, response: Any, shape: Any) -> Any:
        if response["headers"].get(":event-type") == "contentBlockDelta":
            with suppress(ValueError):
                block = from_json(response["body"])
                if _is_text(block):
                    kept = {name: block[name] for name in ("contentBlockIndex", "delta")}
                    return {"contentBlockDelta": kept}
        return self._usual.parse(response, shape)


def _is_text(block: Any) -> bool:
    delta = block.get("delta") if isinstance(block, dict) else None
    return (
        isinstance(delta, dict)
        and len(delta) == 1
        and isinstance(delta.get("text"), str)
        and isinstance(block.get("contentBlockIndex"), int)
    )
