"""Writes a run's events down while it runs, and keeps its lease alive."""

import asyncio
from datetime import datetime, timedelta

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.model import Model
from agentrun.domain.runs import AgentRun, Outcome
from agentrun.service.blocking import in_thread
from agentrun.service.run_ports import RunPorts
from agentrun.service.start_run import LEASE_DURATION


class RecordingPace(Model):
    """How often the recorder writes; each write is paid for."""

    flush_interval_s: float = 1.0
    flush_characters: int = 64 * 1024
    heartbeat_interval_s: float = 3.0
    retry_pause_s: float = 0.25


class CancelRequested(Exception):  # noqa: N818 - not an error: somebody asked for the end
    """The heartbeat brought back that the run is to be cancelled."""


class RunRecorder:
    """
    Buffers a run's events and writes them as segments, in order, from the event loop's side.

    `record` is to run as a task of its own beside the execution; `finish` ends it.
    """

    def __init__(
        self,
        run: AgentRun,
        executor: str,
        *,
        ports: RunPorts,
        pace: RecordingPace,
    ) -> None:
        self._key = run.key
        self._executor = executor
        self._ports = ports
        self._pace = pace
        self._buffer: list[RecordedEvent] = []
        self._buffered_characters = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._first_buffered_at: float | None = None

    def add(self, event: RecordedEvent, *, characters: int) -> None:
        """Buffer an event of about this size; the next flush writes it."""
        if not self._buffer:
            self._first_buffered_at = asyncio.get_running_loop().time()
            self._wake.set()
        self._buffer.append(event)
        self._buffered_characters += characters
        if self._buffered_characters >= self._pace.flush_characters:
            self._wake.set()

    async def record(self) -> None:
        """
        Flush and renew the lease at the recorder's pace until `finish` is called.

        A write that fails because the store is not available is tried again, its events kept.

        Raises:
            FencedError: Another executor owns the run, or it has ended.
            CancelRequested: Somebody has asked for the run's end.
        """
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + self._pace.heartbeat_interval_s
        while True:
            await self._sleep_until(min(heartbeat_at, self._flush_due_at()))
            if self._closing:
                return
            try:
                if loop.time() >= heartbeat_at:
                    await self._heartbeat()
                    heartbeat_at = loop.time() + self._pace.heartbeat_interval_s
                if loop.time() >= self._flush_due_at():
                    await self._flush()
            except StoreUnavailableError:
                await asyncio.sleep(self._pace.retry_pause_s)

    def _flush_due_at(self) -> float:
        if self._buffered_characters >= self._pace.flush_characters:
            return 0.0
        if self._first_buffered_at is None:
            return float("inf")
        return self._first_buffered_at + self._pace.flush_interval_s

    async def _sleep_until(self, due_at: float) -> None:
        """Wait for the time, or for whatever may have brought it forward."""
        delay_s = due_at - asyncio.get_running_loop().time()
        if delay_s <= 0 or self._closing:
            return
        self._wake.clear()
        timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _heartbeat(self) -> None:
        until = self._ports.clock.now() + LEASE_DURATION
        run = await in_thread(
            self._ports.threads,
            self._ports.store.heartbeat,
            self._key,
            self._executor,
            lease_until=until,
        )
        if run.cancel_requested:
            raise CancelRequested

    async def _flush(self) -> None:
        events, characters = tuple(self._buffer), self._buffered_characters
        if not events:
            return
        await in_thread(
            self._ports.threads,
            self._ports.log.append,
            self._key,
            events,
            at=self._ports.clock.now(),
        )
        del self._buffer[: len(events)]
        self._buffered_characters -= characters
        now = asyncio.get_running_loop().time()
        self._first_buffered_at = now if self._buffer else None

    def close(self) -> None:
        """Ask `record` to end after the write that it is making."""
        self._closing = True
        self._wake.set()

    async def finish(self, outcome: Outcome, *, at: datetime, give_up_after: timedelta) -> None:
        """
        Write what is buffered, the terminal event included, then the run's end.

        To be called when `record` has ended: two writers would mix the order.

        Raises:
            FencedError: Another executor owns the run, or it has ended.
            StoreUnavailableError: The store stayed away for `give_up_after`.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + give_up_after.total_seconds()
        while True:
            try:
                await self._flush()
                await in_thread(
                    self._ports.threads,
                    self._ports.store.finish,
                    self._key,
                    self._executor,
                    outcome,
                    at=at,
                )
                return
            except StoreUnavailableError:
                if loop.time() + self._pace.retry_pause_s >= give_up_at:
                    raise
                await asyncio.sleep(self._pace.retry_pause_s)
