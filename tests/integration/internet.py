"""An internet in one process: names as told, and one server behind every address."""

import _socket
import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any
from unittest.mock import patch

PUBLIC, PUBLIC_IPV6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
TLS_HANDSHAKE = b"\x16"
"""What a connection begins with that expects TLS (RFC 8446, section 5.1)."""

Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Internet:
    """
    Every connection, to whatever address and port, is noted and ends at one server here.

    `names` are the addresses that each lookup of a name gives in turn, the last for ever;
    `answers` what the server sends for a host and path. `connections`, and the heads of the
    `requests`, are what has happened.
    """

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    connections: list[tuple[str, int]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _serving: set[asyncio.Task[Any]] = field(default_factory=set)

    @asynccontextmanager
    async def opened(self, tls: SSLContext | None = None) -> AsyncIterator[None]:
        """Be the internet of this process, instead of the real one."""
        connect = socket.socket.connect

        def connect_here(this: socket.socket, address: Any) -> None:
            self.connections.append(address[:2])
            if this.family == socket.AF_INET6:
                raise ConnectionRefusedError(address)
            connect(this, ("127.0.0.1", port))

        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls) as server:
            port = server.sockets[0].getsockname()[1]
            with (
                patch.object(socket, "getaddrinfo", self._look_up),
                patch.object(socket.socket, "connect", connect_here),
            ):
                yield
                if self._serving:
                    await asyncio.wait(self._serving)

    def _look_up(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        try:
            # The C library takes numbers in many notations for addresses, and asks nobody.
            return list(
                _socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
            )
        except OSError:
            addresses = self.names.get(host, [[]])
        found = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            first = await reader.readexactly(1)
            if first == TLS_HANDSHAKE:
                return
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            lines = head.split("\r\n")
            pairs = (line.split(": ", 1) for line in lines[1:] if line)
            fields = {name.lower(): value for name, value in pairs}
            # A connection that is closed with bytes unread is reset, and with it the answer.
            await reader.readexactly(int(fields.get("content-length", 0)))
            host = fields["host"]
            answer = self.answers.get(host + lines[0].split(" ")[1], NOT_FOUND)
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone; the test judges whether it may
        finally:
            writer.close()


def ok(body: bytes, *headers: str) -> bytes:
    """Return a whole answer with status 200."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(to: str) -> bytes:
    """Return an answer that leads elsewhere and sets a cookie."""
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nSet-Cookie: a=b\r\n\r\n".encode()
