"""A run as it happens."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self

import httpx
from httpx_sse import EventSource

from agentrun_client.aio.transport import AsyncTransport
from agentrun_client.errors import AgentrunError, StreamLostError
from agentrun_client.events import RunEvent
from agentrun_client.following.endings import answer_of, is_stream
from agentrun_client.following.resumption import Resumption
from agentrun_client.following.transcript import Transcript
from agentrun_client.models.runs import RunResult
from agentrun_client.wire.answer import Answer
from agentrun_client.wire.settings import connection_failed, was_sent

CLEANING_UP_S = 10.0
"""How long a cancelled task may be kept from its end by a run that is to be cancelled."""


class AsyncRunStream:
    """
    The events of a run, to be iterated once; it re-attaches by itself until the run has ended.

    Nothing is sent before the first event is asked for. Leaving the `async with` block, or reading
    to the end, closes the connection; the run goes on without it. One task may read a stream at a
    time.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        resumption: Resumption,
        *,
        replay: "Callable[[str], AsyncRunStream] | None" = None,
        cancel: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Streams are made by `client.runs`."""
        self._transport = transport
        self._resumption = resumption
        self._replay = replay
        self._cancel = cancel
        self._transcript = Transcript()
        # A generator of this object would be one with it to the collector, which then closes the
        # connection some time later, rather than when nobody has the stream any more.
        self._events = _read(transport, resumption, self._transcript)

    @property
    def run_id(self) -> str | None:
        """The run's id; None until the API has said it."""
        return self._resumption.run_id

    @property
    def session_id(self) -> str | None:
        """The id of the run's conversation; None until the API has said it."""
        return self._resumption.session_id

    @property
    def last_event_id(self) -> int:
        """The id of the last event that was read, to attach after it later; 0 before the first."""
        return self._resumption.last_event_id or 0

    @property
    def text_so_far(self) -> str:
        """The answer as far as this stream has brought it, without what was taken back."""
        return self._transcript.text

    @property
    def reasoning_so_far(self) -> str:
        """The model's reasoning, likewise."""
        return self._transcript.reasoning

    @property
    def _has_ended(self) -> bool:
        return self._resumption.is_over or self._transcript.end is not None

    def __aiter__(self) -> AsyncIterator[RunEvent]:
        """Iterate over the events that have not been read."""
        return self

    async def __anext__(self) -> RunEvent:
        """
        Wait for the next event.

        Raises:
            AgentrunError: The run was refused, or its stream is lost.
        """
        return await anext(self._events)

    async def result(self) -> RunResult:
        """
        Read to the end, and return what the run gave, whatever its status.

        It is the whole run's result, also if this stream has begun in its middle; then the run's
        earlier events are read again for it.

        Raises:
            AgentrunError: The run was refused, or its stream is lost.
        """
        async for _ in self:
            pass
        if self._transcript.is_whole:
            return self._transcript.result()
        if self._replay is None or self.run_id is None:
            raise StreamLostError(self.run_id, self.last_event_id, 1)
        return await self._replay(self.run_id).result()

    async def text(self) -> str:
        """
        Read to the end, and return the run's whole answer.

        Raises:
            RunFailedError: The run has failed.
            RunCancelledError: It was cancelled.
            RunPausedError: It waits for a decision.
            AgentrunError: It was refused, or its stream is lost.
        """
        return answer_of(await self.result())

    async def aclose(self) -> None:
        """Close the connection; the run goes on. Again does no harm."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        """Close the connection at the end of the block."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection, and cancel the run if that was asked for and it has not ended."""
        import anyio  # noqa: PLC0415 - it takes 30 ms, and httpx imports it as late

        # A scope that was cancelled would cancel what is awaited here, too, were it not shielded.
        is_left_early = exc is not None
        deadline = anyio.current_time() + CLEANING_UP_S if is_left_early else math.inf
        with anyio.CancelScope(shield=is_left_early, deadline=deadline):
            await self.aclose()
            if self._cancel is None or self.run_id is None or self._has_ended:
                return
            try:
                await self._cancel(self.run_id)
            except AgentrunError:
                if exc is None:
                    raise
                # What ended the block matters more.


async def _read(
    transport: AsyncTransport, plan: Resumption, transcript: Transcript
) -> AsyncGenerator[RunEvent, None]:
    while not plan.is_over:
        await transport.clock.sleep(plan.delay_s)
        # Closed here and now: what is left to the collector is closed some time later.
        async with aclosing(_connection(transport, plan, transcript)) as events:
            async for event in events:
                yield event


async def _connection(
    transport: AsyncTransport, plan: Resumption, transcript: Transcript
) -> AsyncGenerator[RunEvent, None]:
    call = plan.next_call()
    try:
        async with transport.open(call) as response:
            if not is_stream(response):
                body = await response.aread()
                plan.answered(Answer(response.status_code, response.headers, body))
                return
            plan.opened(call, response.headers)
            async with aclosing(EventSource(response).aiter_sse()) as frames:
                async for frame in frames:
                    event = plan.take(frame.id, frame.data, frame.retry)
                    if event is not None:
                        transcript.add(event)
                        yield event
                    if plan.hangs_up:
                        break
    except httpx.RequestError as error:
        plan.broke(connection_failed(error), was_sent=was_sent(error))
    else:
        plan.ended()
