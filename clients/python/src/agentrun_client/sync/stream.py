"""A run as it happens."""

from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Self

import httpx
from httpx_sse import EventSource

from agentrun_client.errors import AgentrunError, StreamLostError
from agentrun_client.events import RunEvent
from agentrun_client.following.endings import answer_of, is_stream
from agentrun_client.following.resumption import Resumption
from agentrun_client.following.transcript import Transcript
from agentrun_client.models.runs import RunResult
from agentrun_client.sync.transport import Transport
from agentrun_client.wire.answer import Answer
from agentrun_client.wire.settings import connection_failed, was_sent


class RunStream:
    """
    The events of a run, to be iterated once; it re-attaches by itself until the run has ended.

    Nothing is sent before the first event is asked for. Leaving the `with` block, or reading to the
    end, closes the connection; the run goes on without it. One thread may use a stream at a time.
    """

    def __init__(
        self,
        transport: Transport,
        resumption: Resumption,
        *,
        replay: "Callable[[str], RunStream] | None" = None,
        cancel: Callable[[str], None] | None = None,
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

    def __iter__(self) -> Iterator[RunEvent]:
        """Iterate over the events that have not been read."""
        return self

    def __next__(self) -> RunEvent:
        """
        Wait for the next event.

        Raises:
            AgentrunError: The run was refused, or its stream is lost.
        """
        return next(self._events)

    def result(self) -> RunResult:
        """
        Read to the end, and return what the run gave, whatever its status.

        It is the whole run's result, also if this stream has begun in its middle; then the run's
        earlier events are read again for it.

        Raises:
            AgentrunError: The run was refused, or its stream is lost.
        """
        for _ in self:
            pass
        if self._transcript.is_whole:
            return self._transcript.result()
        if self._replay is None or self.run_id is None:
            raise StreamLostError(self.run_id, self.last_event_id, 1)
        return self._replay(self.run_id).result()

    def text(self) -> str:
        """
        Read to the end, and return the run's whole answer.

        Raises:
            RunFailedError: The run has failed.
            RunCancelledError: It was cancelled.
            RunPausedError: It waits for a decision.
            AgentrunError: It was refused, or its stream is lost.
        """
        return answer_of(self.result())

    def close(self) -> None:
        """Close the connection; the run goes on. Again does no harm."""
        self._events.close()

    def __enter__(self) -> Self:
        """Close the connection at the end of the block."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection, and cancel the run if that was asked for and it has not ended."""
        self.close()
        if self._cancel is None or self.run_id is None or self._has_ended:
            return
        try:
            self._cancel(self.run_id)
        except AgentrunError:
            if exc is None:
                raise
            # What ended the block matters more.


def _read(
    transport: Transport, plan: Resumption, transcript: Transcript
) -> Generator[RunEvent, None, None]:
    while not plan.is_over:
        transport.clock.sleep(plan.delay_s)
        yield from _connection(transport, plan, transcript)


def _connection(
    transport: Transport, plan: Resumption, transcript: Transcript
) -> Generator[RunEvent, None, None]:
    call = plan.next_call()
    try:
        with transport.open(call) as response:
            if not is_stream(response):
                plan.answered(Answer(response.status_code, response.headers, response.read()))
                return
            plan.opened(call, response.headers)
            for frame in EventSource(response).iter_sse():
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
