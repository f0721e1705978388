"""
Notes which process executes which run, so that a test can kill that one and no other.

Python imports this when it starts. The note's name is the run's session, its text the process; it
is gone when the execution is over.
"""

import os
from datetime import datetime
from pathlib import Path

from agentrun.domain.endings import Outcome
from agentrun.service.executing.execution import RunExecution

_NOTES = Path(os.environ["ENDURANCE_FOLDER"], "executing")
_execute = RunExecution.execute


async def _noted(self: RunExecution, *, deadline: datetime | None = None) -> Outcome | None:
    note, draft = _NOTES / self.run.session_id, _NOTES / f"{self.run.session_id}.{os.getpid()}"
    draft.write_text(str(os.getpid()))
    draft.replace(note)
    try:
        return await _execute(self, deadline=deadline)
    finally:
        # Another executor may have begun by now.
        if note.exists() and note.read_text() == str(os.getpid()):
            note.unlink(missing_ok=True)


RunExecution.execute = _noted  # type: ignore[method-assign] # the process is what a test wants to know
