"""Runs as their streams were recorded, and a server that replays them as the API does."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clients.python.stand_in import Asked, Reply

RUN_ID, SESSION_ID, AGENT = "r1", "s1", "echo"
# Short, as each byte more is a run more that is cut there.
TIMESTAMP = 1796
HEAD = {
    "content-type": "text/event-stream; charset=utf-8",
    "x-run-id": RUN_ID,
    "x-session-id": SESSION_ID,
}
Told = tuple[int, str, Any]
"""An event's id, its name and its data; what is no text is sent as JSON."""

PAUSE = {
    "type": "TOOL_APPROVAL",
    "approvalId": f"{RUN_ID}.4",
    "approvals": [{"id": "c1", "tool": "buy", "toolName": "buy", "arguments": {"n": 1}}],
    "tool": "buy",
    "toolName": "buy",
    "arguments": {"n": 1},
}
START = {"runId": RUN_ID, "sessionId": SESSION_ID, "agentId": AGENT}
STOP = {"runId": RUN_ID, "status": "COMPLETED"}

LOST_AND_TAKEN_OVER: list[Told] = [
    (1, "START", START),
    (2, "REASONING_DELTA", "Grüße"),
    (3, "TOOL_START", {"id": "c1", "name": "add", "arguments": {"a": "ä"}}),
    (4, "TOOL_END", {"id": "c1", "name": "add", "result": None}),
    # As of a call that was rejected: it has no start.
    (5, "TOOL_ERROR", {"id": "c2", "name": "div", "error": "no"}),
    (6, "CONTENT_DELTA", "ja 🙂 "),
    (7, "CONTENT_DELTA", "void"),
    (8, "A_LATER_EVENT", "?"),
    (1_000_006, "START", START),
    (1_000_007, "STEP_RESET", {"toEventId": 6, "attempt": 2, "reason": "HANDED_OVER"}),
    (1_000_008, "CONTENT_DELTA", "日本"),
    (1_000_009, "METRICS", {"costUsd": 1, "new": 0}),
    (1_000_010, "STOP", STOP),
]
LOST_AND_TAKEN_OVER_TEXT = "ja 🙂 日本"
PAUSED_AND_CONTINUED: list[Told] = [
    (1, "START", START),
    (2, "CONTENT_DELTA", "é "),
    (3, "METRICS", {"totalTokens": 1}),
    (4, "PAUSED", PAUSE),
    (5, "START", START),
    (6, "TOOL_START", {"id": "c1", "name": "buy", "arguments": {"n": 1}}),
    (7, "TOOL_END", {"id": "c1", "name": "buy", "result": 1}),
    (8, "CONTENT_DELTA", "done"),
    (9, "METRICS", {"totalTokens": 2}),
    (10, "STOP", STOP),
]


def frame(told: Told) -> bytes:
    """Write an event as the server does."""
    event_id, name, data = told
    text = data if isinstance(data, str) else _json(data)
    event = {"event": name, "data": text, "timestamp": TIMESTAMP}
    return f"id: {event_id}\ndata: {_json(event)}\n\n".encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def stream(told: Sequence[Told]) -> bytes:
    """Write a whole stream: `retry` once, and a ping after its first event."""
    first, *rest = map(frame, told)
    return b"retry: 1000\n" + first + b": ping\n" + b"".join(rest)


Spoil = Callable[[Asked, Reply], Reply]


@dataclass
class RecordedRun:
    """Answers as the API does for one recorded run; `spoil` may change what a stream says."""

    told: list[Told]
    spoil: Spoil = lambda _, reply: reply
    keys: list[str] = field(default_factory=list)
    """Of the runs that were started: one more for each new key."""

    def respond(self, asked: Asked) -> Reply:
        """Answer a request for the stream."""
        head = HEAD
        if asked.method == "POST":
            key = asked.headers["idempotency-key"]
            if key in self.keys:
                head = {**HEAD, "idempotent-replayed": "true"}
            else:
                self.keys.append(key)
        follows = [told for told in self.told if told[0] > asked.last_event_id]
        if not follows:
            return Reply(204)
        return self.spoil(asked, Reply(200, head, [stream(follows)]))
