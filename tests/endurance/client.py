"""A client that reads a run to its end, whatever becomes of its connections."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx

from tests.e2e.sse import Frame, attached, frames_of

ENDS = {"STOP", "ERROR", "CANCELLED"}
RETRY_AFTER_S = 1.0
"""What `retry: 1000` tells readers."""
_TEXTS = {"CONTENT_DELTA", "REASONING_DELTA"}

Decide = Callable[[Any], dict[str, Any]]
"""Answers a pause: the body of `continue` for what PAUSED says."""


@dataclass
class Reader:
    """Starts a run and reads its stream; re-attaches with Last-Event-ID when that breaks off."""

    client: httpx.Client
    agent: str
    body: dict[str, Any]
    key: str
    decide: Decide
    run_id: str | None = None
    frames: list[Frame] = field(default_factory=list)
    decided: int = 0
    """The last pause that was answered, by its event's id."""

    def read(self, *, within_s: float) -> None:
        """Read to the run's end, with a new connection a second after each that was lost."""
        deadline = time.monotonic() + within_s
        while not (self.frames and self.frames[-1].event in ENDS):
            assert time.monotonic() < deadline, f"run {self.run_id} does not end"
            try:
                with self._connected() as frames:
                    self.frames += frames
            except httpx.TransportError:
                # The frames before it are in the list.
                pass
            if not self.frames or self.frames[-1].event not in ENDS | {"PAUSED"}:
                time.sleep(RETRY_AFTER_S)

    @contextmanager
    def _connected(self) -> Iterator[Iterator[Frame]]:
        with self._request() as answer:
            self.run_id = answer.headers.get("x-run-id", self.run_id)
            if answer.status_code == 200:
                yield frames_of(answer.iter_raw())
                return
            if answer.status_code == 204:
                # Nothing follows: if the run is paused, its continuation has come to nothing.
                self.decided = 0
            else:
                # Somebody has decided already, or a process has just died.
                assert answer.status_code in {409, 500, 502, 503, 504}, answer.read()
            yield iter(())

    def _request(self) -> AbstractContextManager[httpx.Response]:
        runs = f"/api/agents/{self.agent}/runs"
        if self.run_id is None:
            headers = {"Idempotency-Key": self.key}
            return self.client.stream("POST", f"{runs}/stream", json=self.body, headers=headers)
        last = self.frames[-1] if self.frames else None
        if last is not None and last.event == "PAUSED" and self.decided < last.id:
            self.decided, stream = last.id, {"Accept": "text/event-stream"}
            path, decisions = f"{runs}/{self.run_id}/continue", self.decide(last.object)
            return self.client.stream("POST", path, json=decisions, headers=stream)
        headers = {"Last-Event-ID": str(last.id if last else 0)}
        return self.client.stream("GET", f"{runs}/{self.run_id}/stream", headers=headers)


def replay(client: httpx.Client, agent: str, run_id: str) -> list[Frame]:
    """Read a run that has ended, from its start."""
    with attached(client, run_id, agent=agent) as frames:
        return list(frames)


def standing_text(frames: Sequence[Frame]) -> str:
    """Return the answer, less what STEP_RESETs have voided."""
    return "".join(f.data for f in standing(frames) if f.event == "CONTENT_DELTA")


def standing(frames: Sequence[Frame]) -> list[Frame]:
    """Return the events, less the texts that STEP_RESETs have voided."""
    stands: list[Frame] = []
    for frame in frames:
        if frame.event == "STEP_RESET":
            valid = frame.object["toEventId"]
            stands = [f for f in stands if f.id <= valid or f.event not in _TEXTS]
        stands.append(frame)
    return stands


def faults_of(seen: Sequence[Frame], replayed: Sequence[Frame]) -> Iterator[str]:
    """
    Compare what a client has seen with the replay.

    A client may have seen what was never stored, of an executor that died: a later STEP_RESET has
    voided it. Nothing else may differ.
    """
    for name, frames in {"client": seen, "replay": replayed}.items():
        ids = [frame.id for frame in frames]
        if any(after <= before for before, after in pairwise(ids)):
            yield f"the {name}'s ids do not ascend: {ids}"
    stored = {frame.id for frame in replayed}
    if [f.raw for f in seen if f.id in stored] != [f.raw for f in replayed]:
        yield "the client has not seen what the replay says"
    resets = [(f.id, f.object["toEventId"]) for f in seen if f.event == "STEP_RESET"]
    for frame in seen:
        is_void = any(valid < frame.id < reset for reset, valid in resets)
        if frame.id not in stored and not is_void:
            yield f"event {frame.id}, {frame.event}, was seen and is not stored, nor void"
