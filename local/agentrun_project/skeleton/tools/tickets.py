"""Tickets of the support team."""

from typing import Literal

from agent_catalog.toolkit import Session, ToolInputError


def open_ticket(
    session: Session, subject: str, priority: Literal["low", "high"] = "low"
) -> dict[str, str]:
    """
    Open a ticket with the support team.

    Args:
        subject: What it is about, in a few words.
        priority: `high` only if somebody cannot work.
    """
    if not subject.strip():
        raise ToolInputError("A ticket needs a subject.")
    # The same call has the same number however often it runs, as `replay` promises.
    number = f"T-{session.call_id[:8]}"
    return {"ticket": number, "subject": subject, "priority": priority}
