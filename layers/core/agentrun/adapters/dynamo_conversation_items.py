"""How sessions look as items of the table, read back."""

import hashlib
from datetime import datetime

from agentrun.adapters.dynamo_items import Item, tenant_key
from agentrun.domain.conversations import Session
from agentrun.domain.model import from_epoch_ms, iso_milliseconds

MAX_KEY_BYTES = 2048
"""Of a partition key (source: "Quotas in Amazon DynamoDB" in the developer guide)."""


def session_from_item(item: Item) -> Session:
    """Read a session's own item."""
    return Session(
        id=item["pk"]["S"].rpartition("#SES#")[2],
        agent_id=item["agentId"]["S"],
        user_id=item["userId"]["S"],
        title=item["title"]["S"],
        created_at=from_epoch_ms(int(item["createdAt"]["N"])),
        updated_at=from_epoch_ms(int(item["updatedAt"]["N"])),
    )


def session_list_key(tenant: str, user_id: str) -> str:
    """
    Return the index's partition key of a user's sessions.

    Two ids of 256 characters with four bytes each come to ten bytes too many; a digest stands for
    such a user's id.
    """
    key = tenant_key(tenant, "USER", user_id)
    if len(key.encode()) <= MAX_KEY_BYTES:
        return key
    return tenant_key(tenant, "USERHASH", hashlib.sha256(user_id.encode()).hexdigest())


def session_list_position(used_at: datetime, session_id: str, agent_id: str) -> str:
    """
    Return the index's sort key of a session; sorts as sessions were used last.

    The agent is in it so that the sessions with one agent can be told apart by the index alone.
    """
    return f"{iso_milliseconds(used_at)}#{session_id}#{agent_id}"


def listed_agent(position: str) -> str | None:
    """Return the agent of a sort key; None in one that was written before agents stood in it."""
    _, _, agent_id = position.partition("#")[2].partition("#")
    return agent_id or None


def pointed_run_id(pointer: Item) -> str:
    """Give the id of the run that a pointer leads to."""
    return str(pointer["sk"]["S"].rpartition("#")[2])
