"""One streamed response: its bytes, and when they came."""

import asyncio
import re
import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from tests.lambda_runtime.server import Head, Recorder, RuntimeApi

_FUNCTION_TIMEOUT_S = 900
# The end of a chunked body without trailers (RFC 9112, 7.1); error trailers end it otherwise.
_END = b"\r\n0\r\n\r\n"
_FAILED_END = re.compile(rb"\r\n0\r\nLambda-Runtime-Function-Error", re.IGNORECASE)
_STAMP = re.compile(rb'"data":\s?"(\d+):(\d+) "')


class StreamFailedError(Exception):
    """A stream did not end as it should have; the text is what came of it."""


@dataclass(frozen=True)
class Stamp:
    """
    One delta of the stamped model, in nanoseconds.

    `sent` and `received` are of the system's monotonic clock, which all processes share; `cpu` is
    the sender's processor time.
    """

    sent: int
    received: int
    cpu: int

    @property
    def latency_ms(self) -> float:
        """Tell how long it took from the model to this process."""
        return (self.received - self.sent) / 1e6


class Recording:
    """Collects what is read from a socket; looks at it only when the response has ended."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._chunks: list[bytes] = []
        self._tail = b""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, data: bytes) -> None:
        """Take what was just read."""
        self.times.append(time.monotonic_ns())
        self._chunks.append(data)
        self._tail = self._tail[-len(_END) :] + data[-256:]
        if self._tail.endswith(_END):
            self._end(None)
        elif self._tail.endswith(b"\r\n\r\n") and _FAILED_END.search(self._tail):
            self._end("the function failed in mid-stream")

    def break_off(self, reason: str) -> None:
        """Say that nothing more comes, unless the response has ended."""
        self._end(reason)

    def _end(self, failure: str | None) -> None:
        if self._ended.done():
            return
        if failure is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(StreamFailedError(f"{failure}: {self.body[-2000:]!r}"))

    async def complete(self, timeout_s: float = 60) -> "Recording":
        """
        Wait for the response's end.

        Raises:
            StreamFailedError: It broke off, or is no successful stream.
            TimeoutError: It did not end in time.
        """
        await asyncio.wait_for(asyncio.shield(self._ended), timeout_s)
        return self

    @property
    def ended(self) -> bool:
        """Whether the response is over, for better or worse."""
        return self._ended.done()

    @property
    def body(self) -> bytes:
        """All that was read, with the framing of the wire."""
        return b"".join(self._chunks)

    def holds(self, event: str) -> bool:
        """Tell whether there is an event of a type."""
        return self._find(event) is not None

    def first_ns(self, event: str) -> int:
        """
        Tell when the first event of a type was there, as monotonic nanoseconds.

        Raises:
            StreamFailedError: There is none.
        """
        match = self._find(event)
        if match is None:
            raise StreamFailedError(f"no {event}: {self.body[-2000:]!r}")
        return self._received_at([match.end()])[0]

    def _find(self, event: str) -> re.Match[bytes] | None:
        return re.search(rb'"event":\s?"%b"' % event.encode(), self.body)

    def stamps(self) -> list[Stamp]:
        """Return the stamped deltas in the order in which they came."""
        matches = list(_STAMP.finditer(self.body))
        received = self._received_at([match.end() for match in matches])
        return [
            Stamp(sent=int(match[1]), received=at, cpu=int(match[2]))
            for match, at in zip(matches, received, strict=True)
        ]

    def _received_at(self, ends: list[int]) -> list[int]:
        totals = list(accumulate(len(chunk) for chunk in self._chunks))
        return [self.times[bisect_left(totals, end)] for end in ends]


class _Other:
    """A poll, or a call that says what has failed: it ends the recordings that it is given."""

    ended = True

    def __init__(self, head: Head, failed: Iterable[Recording]) -> None:
        self._path, self._failed = head.path, failed

    def add(self, data: bytes) -> None:
        self.break_off(f"{self._path} {data.decode()}")

    def break_off(self, reason: str) -> None:
        for recording in self._failed:
            recording.break_off(reason)


class RecordingRuntimeApi(RuntimeApi):
    """Records the responses; takes every call but `/next` and `/response` for a failure."""

    def __init__(self) -> None:
        super().__init__()
        self.restored_ns: int | None = None
        self._recordings: dict[str, Recording] = {}

    def stream(self, event: bytes) -> Recording:
        """Hand an event to the next poll; the response will be in the recording."""
        recording = self._recordings[self.invoke(event, _FUNCTION_TIMEOUT_S)] = Recording()
        return recording

    def record(self, head: Head) -> Recorder:
        """Return the recording of the response; anything else ends at once."""
        if head.path.endswith("/response"):
            return self._recordings[head.path.split("/")[-2]]
        if head.path.endswith("/restore/next"):
            # It is answered at once: nothing is frozen here, and nothing restored.
            self.restored_ns = time.monotonic_ns()
        return _Other(head, () if head.method == "GET" else self._recordings.values())


def cpu_per_delta_us(stamps: list[Stamp]) -> float:
    """Return the sender's processor time between the first and the last delta, for each, in µs."""
    return (stamps[-1].cpu - stamps[0].cpu) / (len(stamps) - 1) / 1e3
