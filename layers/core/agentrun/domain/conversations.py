"""Conversations: which run uses a session, which ones wait for it, and what was said in it."""

from collections.abc import Collection
from enum import StrEnum
from typing import Literal

from pydantic import Field

from agentrun.domain.value import Instant, Value

MAX_QUEUED = 90
"""
How many living runs may wait in one session.

Each of them reads the session's item twice a second, and writes it as it joins or leaves. With this
many UUIDs the item stays within 4 KB, which is one read unit and four write units.
"""


class SessionPolicy(StrEnum):
    """What a new run does while another one uses its session."""

    REJECT = "reject"
    ENQUEUE = "enqueue"
    INTERRUPT = "interrupt"


class SessionLock(Value):
    """
    Which run uses a session, and which ones wait for it, the next one first.

    `active_by` is the executor that has taken the session. A holder may have died or ended without
    letting go; its own state tells.
    """

    active: str | None = None
    active_by: str | None = None
    queue: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether no more runs may wait."""
        return len(self.queue) >= MAX_QUEUED

    def before(self, run_id: str) -> tuple[str, ...]:
        """Return the runs that have to end before this one may begin; of the holder, none."""
        if run_id == self.active:
            return ()
        ahead = self.queue[: self.queue.index(run_id)] if run_id in self.queue else self.queue
        active = (self.active,) if self.active else ()
        return (*active, *ahead)

    def is_of(self, run_id: str) -> bool:
        """Tell whether a run holds the lock or waits for it."""
        return run_id == self.active or run_id in self.queue

    def taken_by(self, run_id: str, executor: str) -> "SessionLock":
        """Return the lock as this run takes it; the runs behind it keep their places."""
        behind = self.queue if run_id == self.active else ()
        if run_id in self.queue:
            behind = self.queue[self.queue.index(run_id) + 1 :]
        return SessionLock(active=run_id, active_by=executor, queue=behind)

    def is_free_without(self, run_ids: Collection[str]) -> bool:
        """Tell whether a new run may take it once these runs are left out, the holder included."""
        return {self.active, *self.queue} <= {None, *run_ids}

    def without(self, run_ids: Collection[str]) -> "SessionLock":
        """Return the lock without these runs in its queue."""
        left = tuple(run_id for run_id in self.queue if run_id not in run_ids)
        return SessionLock(active=self.active, active_by=self.active_by, queue=left)

    def released(self) -> "SessionLock":
        """Return the lock as its holder leaves it."""
        return SessionLock(queue=self.queue)


FREE = SessionLock()


class Session(Value):
    """A conversation of one user with one agent."""

    id: str
    agent_id: str
    user_id: str
    title: str
    created_at: Instant
    updated_at: Instant


TITLE_CHARACTERS = 80


def session_title(message: str) -> str:
    """Name a session after its first message."""
    return " ".join(message.split())[:TITLE_CHARACTERS]


class SessionPage(Value):
    """
    Some sessions, the most recently used first, and where the next page begins.

    `total` counts the sessions of all pages.
    """

    sessions: tuple[Session, ...]
    total: int
    next_cursor: str | None = None


class PastTurn(Value):
    """
    One earlier run of a conversation, as its next turns see it.

    `messages` are in the engine's own form; None if `input` and `output` are enough, as for a plain
    question and answer, or if the run did not end by itself, in which case `is_whole` is False.
    `updated_at` is when the run ended.
    """

    run_id: str
    input: str
    output: str = ""
    messages: str | None = None
    created_at: Instant
    updated_at: Instant
    is_whole: bool = True


class Message(Value):
    """One message of a conversation."""

    role: Literal["user", "assistant", "tool"]
    content: str = Field(
        description="Of a tool: its result as text, JSON unless it was a text already."
    )
    content_truncated: Literal[True] | None = Field(
        default=None, description="There is more of it than one answer has room for."
    )
    created_at: Instant
    run_id: str = Field(min_length=1)
