"""Reading an HTTP/1.1 answer from a socket, without http.client and its e-mail parser."""

import re
import socket
from collections.abc import Iterator

MAX_HEAD_BYTES = 64 * 1024
_RECEIVED_BYTES = 128 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,7})[ \t]*(?:;[^\r\n]*)?")
_LENGTH = re.compile(r"[0-9]{1,9}")


class NotHttpError(Exception):
    """An answer that is cut short or does not follow HTTP/1.1."""


class Answer:
    """One answer, also as the stream that botocore reads a body from."""

    status = 0
    body = b""
    keeps_open = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self.headers: dict[str, str] = {}

    def stream(self) -> Iterator[bytes]:
        """Return the body in one piece."""
        return iter((self.body,))

    def read(self) -> None:
        """Read the head, after those of 1xx, and the body."""
        while self.status < 200:
            self._read_head()
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise NotHttpError("The length is ambiguous.")
            self.body = b"".join(self._chunks())
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise NotHttpError("The length is no number.")
            self.body = self._exactly(int(length))
        elif self.status not in {204, 304}:
            self.keeps_open = False
            self.body = b"".join(self._rest())
        # What follows an answer belongs to no request.
        self.keeps_open = self.keeps_open and not self._buffer

    def _read_head(self) -> None:
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        if (status := _STATUS_LINE.fullmatch(first)) is None:
            raise NotHttpError("There is no status line.")
        self.status, self.headers = int(status[2]), {}
        for line in lines:
            before, colon, after = line.partition(b":")
            if not (colon and _NAME.fullmatch(before)) or b"\n" in after or b"\r" in after:
                raise NotHttpError("A header is malformed.")
            name, value = before.decode().lower(), after.strip(b" \t").decode("latin-1")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        options = self.headers.get("connection", "").lower()
        self.keeps_open = status[1] == b"1" and "close" not in options

    def _chunks(self) -> Iterator[bytes]:
        while True:
            if (size := _CHUNK_SIZE.fullmatch(self._until(b"\r\n"))) is None:
                raise NotHttpError("A chunk's size is malformed.")
            if (length := int(size[1], 16)) == 0:
                break
            yield self._exactly(length)
            if self._exactly(2) != b"\r\n":
                raise NotHttpError("A chunk is longer than its size.")
        while self._until(b"\r\n"):
            pass

    def _rest(self) -> Iterator[bytes]:
        yield self._buffer
        self._buffer = b""
        while received := self._sock.recv(_RECEIVED_BYTES):
            yield received

    def _until(self, end: bytes) -> bytes:
        """Read to a mark, and past it."""
        while (at := self._buffer.find(end)) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise NotHttpError("The head has no end.")
            self._buffer += self._more(_RECEIVED_BYTES)
        found, self._buffer = self._buffer[:at], self._buffer[at + len(end) :]
        return found

    def _exactly(self, length: int) -> bytes:
        parts, missing = [self._buffer[:length]], length - len(self._buffer)
        self._buffer = self._buffer[length:]
        while missing > 0:
            parts.append(self._more(min(missing, _RECEIVED_BYTES)))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _more(self, at_most: int) -> bytes:
        received = self._sock.recv(at_most)
        if not received:
            raise NotHttpError("The connection ended before the answer did.")
        return received
