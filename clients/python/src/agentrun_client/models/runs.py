"""Runs as the API answers with them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agentrun_client.models.actions import RequiredAction
from agentrun_client.models.json_value import JsonValue

RunStatus: TypeAlias = Literal["QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"]
UNDER_WAY = frozenset[str]({"QUEUED", "RUNNING"})
"""A run in one of these goes on by itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """
    The record of a run; what is not known, or not known yet, is None.

    Lists and batches have the first 4096 bytes of `input` and `output` and mark what they cut.
    """

    id: str
    agent_id: str
    session_id: str
    user_id: str
    org_id: str
    status: RunStatus
    created_at: datetime
    updated_at: datetime
    attempt: int
    version: int
    input: str | None = None
    input_truncated: bool = False
    output: str | None = None
    output_truncated: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = None
    duration_ms: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    required_action: RequiredAction | None = None
    followups: tuple[str, ...] | None = None
    parent_run_id: str | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it goes on by itself: not ended, and not paused."""
        return self.status in UNDER_WAY


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that is executed in the background."""

    run_id: str
    session_id: str
    status: RunStatus


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call and what came of it; if it has failed, `tool_output` is the error's text."""

    id: str
    tool_name: str
    tool_input: JsonValue
    tool_output: JsonValue
    is_error: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run has used; a figure that is not known is None."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    llm_calls: int | None = None
    model: str | None = None
    cost_usd: float | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """
    What a run gave.

    Attributes:
        text: The answer, without what was taken back.
        reasoning_steps: The stretches of reasoning that nothing interrupted.
        tools: The tool calls that have ended, in the order in which they began.
        followups: Suggested questions; None unless they were asked for.
        required_action: What a PAUSED run waits for.
        error: Why a FAILED run has failed, or the reason of a CANCELLED one; safe to show.
    """

    run_id: str
    session_id: str
    agent_id: str
    status: RunStatus
    text: str
    reasoning_steps: tuple[str, ...] = ()
    tools: tuple[ToolCall, ...] = ()
    followups: tuple[str, ...] | None = None
    metrics: Figures | None = None
    required_action: RequiredAction | None = None
    error: str | None = None

    @property
    def reasoning(self) -> str:
        """All of the reasoning in one piece."""
        return "".join(self.reasoning_steps)


@dataclass(frozen=True, slots=True)
class StreamTicket:
    """
    Attaches a browser's `EventSource`, which can send no header, to one run, once, within a minute.

    `url` has the ticket in it. Treat it as a secret until it is used.
    """

    ticket: str
    expires_at: datetime
    url: str

    def __repr__(self) -> str:
        """Leave out what is secret."""
        return f"StreamTicket(expires_at={self.expires_at!r})"
