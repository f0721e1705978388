"""Reads a run's stream as a client would, frame by frame."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Frame:
    id: int
    event: str
    data: str
    timestamp: int
    raw: bytes

    @property
    def object(self) -> Any:
        return json.loads(self.data)


def frames_of(chunks: Iterator[bytes]) -> Iterator[Frame]:
    """Yield the frames of a body as soon as each is whole; `raw` has neither retry nor comments."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        yield from map(_frame, blocks)


def _frame(block: bytes) -> Frame:
    id_line, data_line = lines = [
        line for line in block.split(b"\n") if line not in {b": ping", b"retry: 1000"}
    ]
    body = json.loads(data_line.removeprefix(b"data: "))
    number = int(id_line.removeprefix(b"id: "))
    raw = b"\n".join(lines)
    return Frame(number, body["event"], body["data"], body["timestamp"], raw)


@contextmanager
def started_run(
    client: httpx.Client, message: str, agent: str = "echo", **headers: str
) -> Iterator[tuple[httpx.Response, Iterator[Frame]]]:
    """Start a run; yield the answer and its frames."""
    path = f"/api/agents/{agent}/runs/stream"
    with client.stream("POST", path, json={"message": message}, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        yield answer, frames_of(answer.iter_raw())


def whole_run(client: httpx.Client, message: str, agent: str = "echo") -> tuple[str, list[Frame]]:
    """Run to the end; return the run's id and its frames."""
    with started_run(client, message, agent) as (answer, frames):
        return answer.headers["x-run-id"], list(frames)


@contextmanager
def attached(
    client: httpx.Client, run_id: str, cursor: int = 0, agent: str = "echo"
) -> Iterator[Iterator[Frame]]:
    """Attach to a run after a cursor; yield its frames."""
    path = f"/api/agents/{agent}/runs/{run_id}/stream"
    with client.stream("GET", path, headers={"Last-Event-ID": str(cursor)}) as answer:
        assert answer.status_code == 200, answer.read()
        yield frames_of(answer.iter_raw())


def content(frames: list[Frame]) -> str:
    """Return the answer that the frames contain."""
    return "".join(frame.data for frame in frames if frame.event == "CONTENT_DELTA")
