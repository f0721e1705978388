"""Readers of runs under way: each holds a place, so that one user's cannot hold a whole account."""

from dataclasses import dataclass
from datetime import datetime

from agentrun.domain.value import epoch_ms

RETRY_AFTER_S = 5
"""When a run may have ended whose reader is in the way of another one."""


# Every function's start pays for this module, so that this is no pydantic model.
@dataclass(frozen=True)
class ReaderPlace:
    """
    What a reader holds while it follows a run of a user.

    `user` stands for the id of the run's owner, see `quotas.user_tag`; `until` is when the process
    that serves the reader is stopped at the latest; `reader_id` tells readers of a run apart.
    """

    tenant: str
    user: str
    run_id: str
    reader_id: str
    until: datetime

    @property
    def name(self) -> str:
        """What tells it from all others of the user."""
        return f"{epoch_ms(self.until)}:{self.run_id}:{self.reader_id}"
