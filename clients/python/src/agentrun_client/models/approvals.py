"""Pauses of runs, decided or not, as the API answers with them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agentrun_client.models.actions import PauseType, PendingCall

ApprovalStatus: TypeAlias = Literal["PENDING", "APPROVED", "REJECTED", "EXPIRED"]


@dataclass(frozen=True, slots=True)
class Approval:
    """
    A pause of a run: what it waits for, or what has become of it.

    `approvals` is None where a page had no room for the calls: read such an approval alone.
    """

    approval_id: str
    run_id: str
    agent_id: str
    session_id: str
    type: PauseType
    created_at: datetime
    status: ApprovalStatus
    approvals: tuple[PendingCall, ...] | None = None
    expires_at: datetime | None = None
