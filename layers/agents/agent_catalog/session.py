"""What a tool may know of the conversation that it is called in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """Whose conversation it is; a tool that names it as its first parameter is given it."""

    tenant: str
    user_id: str
    session_id: str
