"""One turn that is to be executed, and what has to happen before its engine may begin."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agentrun.domain.errors import EngineError, StoreUnavailableError
from agentrun.domain.events import Metrics
from agentrun.domain.ports import AgentTask
from agentrun.domain.quotas import Slot
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.service.ports import in_thread
from agentrun.service.starting.launch_ports import LaunchPorts
from agentrun.service.starting.session_queue import wait_in_queue

HISTORY_TURNS = 50
"""How many earlier runs are read; how much of them a model is shown is its agent's to say."""
HISTORY_PATIENCE_S = 20.0
RETRY_PAUSE_S = 0.25

T = TypeVar("T")


class CancelRequested(Exception):  # noqa: N818 - not an error: somebody asked for the end
    """The heartbeat brought back that the run is to be cancelled."""


@dataclass(frozen=True)
class PendingExecution:
    """
    A durable run, what its engine is to do, and how it gets there.

    `slot` is what its execution holds and gives back in the end. `said_before` and `used_before`
    are what a continued run has come to before its pause.
    """

    run: AgentRun
    task: AgentTask
    request: RunRequest
    slot: Slot
    ports: LaunchPorts
    said_before: str = ""
    used_before: Metrics | None = None

    @property
    def executor(self) -> str:
        """Who executes the run."""
        return self.lease.executor

    @property
    def lease(self) -> Lease:
        """Under which lease the run was stored, or taken."""
        if self.run.lease is None:
            raise ValueError("an execution needs its run's lease")
        return self.run.lease

    async def prepare(self) -> AgentTask:
        """
        Wait for the run's turn in its session, then read the conversation so far.

        Raises:
            FencedError: Somebody has ended the run meanwhile.
            CancelRequested: Somebody has asked for its end before its turn was known to be taken.
            EngineError: The conversation cannot be read.
        """
        run, task = self.run, self.task
        if run.status is RunStatus.QUEUED:
            taken = await wait_in_queue(
                run, self.executor, conversations=self.ports.conversations, ports=self.ports.runs
            )
            if taken.cancel_requested:
                raise CancelRequested
        # A session whose id nobody has asked for began with this run.
        if self.request.session_id is None and task.resumption is None:
            return task
        history = await self._patiently(
            lambda: self.ports.conversations.turns(
                run.org_id, run.session_id, newest=HISTORY_TURNS, except_run=run.id
            )
        )
        return task.model_copy(update={"history": tuple(history)})

    async def _patiently(self, read: Callable[[], T]) -> T:
        give_up_at = asyncio.get_running_loop().time() + HISTORY_PATIENCE_S
        while True:
            try:
                return await in_thread(self.ports.runs.threads, read)
            except StoreUnavailableError as error:
                if asyncio.get_running_loop().time() >= give_up_at:
                    raise EngineError(
                        "The conversation could not be read.", error_type="STORE_UNAVAILABLE"
                    ) from error
            await asyncio.sleep(RETRY_PAUSE_S)
