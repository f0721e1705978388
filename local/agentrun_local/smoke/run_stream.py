"""A run's stream as it arrives: frames, each with its time of arrival."""

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from agentrun_local.smoke.connection import Connection, ExchangeError, Head, Piece

TERMINAL = frozenset({"STOP", "ERROR", "PAUSED", "CANCELLED"})


@dataclass(frozen=True)
class Frame:
    """
    One event.

    `said_s` is by the stack's clock and `at` by this machine's: compare differences only.
    """

    id: int
    event: str
    data: str
    said_s: float
    at: float

    @property
    def facts(self) -> dict[str, Any]:
        """The object in `data`; empty for events without one."""
        try:
            found = json.loads(self.data)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def figure(self, name: str) -> float | None:
        """Return one of the facts; None if it is not a number."""
        value = self.facts.get(name)
        return value if isinstance(value, int | float) else None


class RunStream:
    """An open stream; `seen` has the frames that were read."""

    def __init__(self, connection: Connection, head: Head, *, silent_s: float) -> None:
        self.head = head
        self.run_id = head.first("x-run-id")
        self.session_id = head.first("x-session-id")
        self.seen: list[Frame] = []
        self.pings = 0
        self._connection = connection
        self._silent_s = silent_s
        self._rest = b""
        self._waiting: deque[Frame] = deque()
        self._ended = False

    def frames(self, *, within_s: float | None = None) -> Iterator[Frame]:
        """
        Yield frames up to the end of the stream; a second call goes on where the first stopped.

        Raises:
            SilentError: Not even a ping came for too long, or the end did not come in time.
            ExchangeError: The stream broke off, or contains something that is not a frame.
        """
        until = None if within_s is None else time.monotonic() + within_s
        pieces = self._connection.pieces(silent_s=self._silent_s, until=until)
        while self._waiting or not self._ended:
            if not self._waiting:
                self._take(next(pieces, None))
                continue
            frame = self._waiting.popleft()
            self.seen.append(frame)
            yield frame
        if not self.seen or self.seen[-1].event not in TERMINAL:
            raise ExchangeError("the stream ended without a terminal event")

    def up_to(self, number: int, *, within_s: float) -> Frame:
        """Read this many frames and return the last. Raises as `frames` does."""
        return list(islice(self.frames(within_s=within_s), number))[-1]

    def whole(self, *, within_s: float | None = None) -> list[Frame]:
        """Read to the end and return all frames, earlier ones too. Raises as `frames` does."""
        for _ in self.frames(within_s=within_s):
            pass
        return self.seen

    def _take(self, piece: Piece | None) -> None:
        if piece is None:
            self._ended = True
            return
        *blocks, self._rest = (self._rest + piece.data).split(b"\n\n")
        self._waiting.extend(self._frame(block, piece.at) for block in blocks)

    def _frame(self, block: bytes, at: float) -> Frame:
        lines = block.decode(errors="replace").split("\n")
        self.pings += lines.count(": ping")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line and line[0] != ":")
        try:
            event = json.loads(fields["data"])
            return Frame(
                id=int(fields["id"]),
                event=str(event["event"]),
                data=str(event["data"]),
                said_s=event["timestamp"] / 1000,
                at=at,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ExchangeError("the stream says something that is no documented frame") from error


def content(frames: list[Frame]) -> str:
    """Return the answer that the frames contain."""
    return "".join(frame.data for frame in frames if frame.event == "CONTENT_DELTA")
