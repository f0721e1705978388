"""Runs: start, stream, attach, read, decide, cancel."""

from collections.abc import Callable, Iterable, Iterator
from typing import Unpack

from agentrun_client.following import streams
from agentrun_client.following.resumption import Resumption
from agentrun_client.models.actions import Budget, Decisions
from agentrun_client.models.requests import StartOptions
from agentrun_client.models.runs import QueuedRun, Run, RunResult, RunStatus, StreamTicket
from agentrun_client.sync.stream import RunStream
from agentrun_client.sync.transport import Transport
from agentrun_client.wire import run_calls
from agentrun_client.wire.page import PAGE_SIZE
from agentrun_client.wire.run_calls import Fields
from agentrun_client.wire.watch import Watch


class Runs:
    """What `client.runs` offers; threads may share it."""

    def __init__(self, transport: Transport) -> None:
        """Take what sends the requests."""
        self._transport = transport

    def stream(
        self,
        agent: str,
        message: str,
        *,
        cancel_on_exit: bool = False,
        **options: Unpack[StartOptions],
    ) -> RunStream:
        """
        Start a run and stream it; see `StartOptions` for the options.

        The run is started when the first event is asked for, and once only, whatever breaks.

        Args:
            agent: The agent's id.
            message: 1 to 100 000 characters.
            cancel_on_exit: Whether leaving the stream's `with` block cancels a run that goes on.
            options: What may be said besides.

        Raises:
            TypeError: There is no such option, or it is of another type.
        """
        plan = streams.started(self._transport.settings, agent, message, options)
        return self._stream(agent, plan, cancel=self.cancel if cancel_on_exit else None)

    def attach(self, agent: str, run_id: str, after: int = 0) -> RunStream:
        """
        Read a run's events after an id, then follow it to its end.

        Raises, once it is read:
            NotFoundError: There is no such run, or its events are gone, a day after its end.
        """
        plan = streams.attached(self._transport.settings, agent, run_id, after)
        return self._stream(agent, plan)

    def resume(
        self, agent: str, run_id: str, decisions: Decisions, *, budget: Budget | None = None
    ) -> RunStream:
        """
        Decide what a paused run waits for, and stream what follows.

        The decision is sent when the first event is asked for, and takes effect once: it is
        repeated only if the run still is in the same pause. Otherwise what follows is streamed,
        also if it follows somebody else's decision: `client.approvals.get` tells how it was made.

        Args:
            agent: The run's agent.
            run_id: The run.
            decisions: `approve()`, `reject(reason)`, or one `Decision` for each pending call.
            budget: What the run may spend, in all, if it waits because it has spent its budget.

        Raises, once it is read:
            ConflictError: The run is not paused, or somebody else has decided.
            InvalidRequestError: A call is not decided, or arguments do not fit the tool.
        """
        plan = streams.resumed(self._transport.settings, agent, run_id, decisions, budget)
        return self._stream(agent, plan)

    def _stream(
        self, agent: str, plan: Resumption, cancel: Callable[[str], None] | None = None
    ) -> RunStream:
        def replay(run_id: str) -> RunStream:
            whole = streams.attached(self._transport.settings, agent, run_id, 0)
            return RunStream(self._transport, whole)

        return RunStream(self._transport, plan, replay=replay, cancel=cancel)

    def create(self, agent: str, message: str, **options: Unpack[StartOptions]) -> RunResult:
        """
        Start a run and wait for its end or its pause; prefer `stream` for long runs.

        Raises:
            RunFailedError: The run has failed.
            UnavailableError: The run goes on; `run_id` names it.
        """
        return self._transport.send(run_calls.create(agent, message, options))

    def background(self, agent: str, message: str, **options: Unpack[StartOptions]) -> QueuedRun:
        """Start a run that is executed in the background; `wait` for it, or `attach` to it."""
        return self._transport.send(run_calls.background(agent, message, options))

    def get(self, run_id: str) -> Run:
        """
        Read the record of a run.

        Raises:
            NotFoundError: There is no such run, or the caller may not see it.
        """
        return self._transport.send(run_calls.get(run_id))

    def get_many(
        self, agent: str, run_ids: Iterable[str], fields: Fields | None = None
    ) -> dict[str, Run]:
        """
        Read many runs, a hundred with each request; ids that do not exist are absent.

        Args:
            agent: The agent of all of them.
            run_ids: Their ids.
            fields: `summary` leaves out `input` and `output`, which are cut to 4096 bytes anyway.
        """
        calls = run_calls.get_batches(agent, list(run_ids), fields)
        return {run.id: run for call in calls for run in self._transport.send(call)}

    def list(
        self,
        *,
        status: RunStatus | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> Iterator[Run]:
        """Iterate over all runs that match, the newest first; pages are read as they are needed."""
        filters = {
            "status": status,
            "agentId": agent_id,
            "sessionId": session_id,
            "userId": user_id,
        }
        return self._transport.pages(lambda cursor: run_calls.list_page(filters, PAGE_SIZE, cursor))

    def cancel(self, run_id: str) -> None:
        """Cancel a run, which ends some seconds later; one that has ended stays as it is."""
        self._transport.send(run_calls.cancel(run_id))

    def stream_ticket(self, agent: str, run_id: str) -> StreamTicket:
        """Get a ticket with which a browser's own `EventSource` can attach to a run, once."""
        return self._transport.send(run_calls.stream_ticket(agent, run_id))

    def wait(
        self, agent: str, run_id: str, *, poll_every: float = 3.0, timeout: float | None = None
    ) -> Run:
        """
        Wait until a run has ended or is paused, and return its whole record.

        Raises:
            NotFoundError: There is no such run.
            WaitTimeoutError: It has not ended in `timeout` seconds.
        """
        self.wait_all(agent, [run_id], poll_every=poll_every, timeout=timeout)
        return self.get(run_id)

    def wait_all(
        self,
        agent: str,
        run_ids: Iterable[str],
        *,
        poll_every: float = 3.0,
        timeout: float | None = None,
        on_update: Callable[[Run], None] | None = None,
    ) -> dict[str, Run]:
        """
        Wait until all runs have ended or are paused, with one request for a hundred of them.

        Args:
            agent: The agent of all of them.
            run_ids: Their ids.
            poll_every: Seconds between two looks.
            timeout: Seconds after which to give up; None waits for as long as it takes.
            on_update: Is called with each run that has changed.

        Returns:
            The runs by their ids, their texts cut to 4096 bytes; ids that do not exist are absent.

        Raises:
            WaitTimeoutError: Some have not ended in time.
        """
        clock = self._transport.clock
        watch = Watch(agent, run_ids, poll_every=poll_every, timeout=timeout, now_s=clock.now_s())
        while True:
            found = [run for call in watch.calls() for run in self._transport.send(call)]
            for run in watch.take(found):
                if on_update is not None:
                    on_update(run)
            if watch.is_over:
                return watch.runs
            clock.sleep(watch.pause_s(clock.now_s()))
