"""Conversations as the API answers with them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; a tool's is its result as text."""

    role: Literal["user", "assistant", "tool"]
    content: str
    created_at: datetime
    run_id: str
    content_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """
    A conversation of one user with one agent.

    `messages` is None in a list of sessions; of one session it is what was said in it, the oldest
    first. `updated_at` is when the last run was started.
    """

    id: str
    agent_id: str
    user_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...] | None = None
