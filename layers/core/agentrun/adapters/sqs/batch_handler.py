"""A Lambda handler for the messages of a queue, which it works off on one event loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from agentrun.domain.ports.clock import Clock

Record = Mapping[str, Any]
"""One message as Lambda hands it over (developer guide, "Using Lambda with Amazon SQS")."""

_logger = logging.getLogger(__name__)


class InvocationContext(Protocol):
    """What is used of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take."""
        ...


class BatchHandler:
    """
    Answers the events of a mapping with `ReportBatchItemFailures`.

    The loop is kept over invocations, with whatever connections and tasks belong to it.

    Args:
        work: Works off one record until the deadline, when the process will be stopped, and
            returns whether it is done. If not, or if it raises, the message comes again when its
            visibility time-out is over; once it has come `maxReceiveCount` times, it is a dead
            letter.
        clock: Tells the time.
    """

    def __init__(self, work: Callable[[Record, datetime], Awaitable[bool]], clock: Clock) -> None:
        self._work = work
        self._clock = clock
        # With a factory, it leaves the thread's own loop alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    def __call__(self, event: Mapping[str, Any], context: InvocationContext) -> dict[str, Any]:
        """Work off a batch, and name the messages that have to come again."""
        left = timedelta(milliseconds=context.get_remaining_time_in_millis())
        records: Sequence[Record] = event["Records"]
        failed = self._runner.run(self._work_off(records, self._clock.now() + left))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}

    def close(self) -> None:
        """End what is left on the loop; Lambda stops processes without it."""
        self._runner.close()

    async def _work_off(self, records: Sequence[Record], deadline: datetime) -> list[str]:
        outcomes = await asyncio.gather(
            *(self._one(record, deadline) for record in records), return_exceptions=True
        )
        failed = []
        for record, outcome in zip(records, outcomes, strict=True):
            message_id: str = record["messageId"]
            if isinstance(outcome, BaseException):
                _logger.error("message %s failed", message_id, exc_info=outcome)
            if outcome is not True:
                failed.append(message_id)
        return failed

    async def _one(self, record: Record, deadline: datetime) -> bool:
        # What `work` raises before its first await must not end the others.
        return await self._work(record, deadline)
