"""Writes a run's events while it is executed, and keeps its lease alive."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from agentrun.domain.endings import EndProgress, Outcome
from agentrun.domain.errors import CancelRequestedError, FencedError, StoreUnavailableError
from agentrun.domain.events import Metrics, RecordedEvent
from agentrun.domain.runs import PREVIEW_BYTES, AgentRun
from agentrun.domain.steps import Step
from agentrun.domain.value import Value
from agentrun.service.executing.bounds import OwnLease
from agentrun.service.executing.event_buffer import EventBuffer
from agentrun.service.ports import RunPorts, every, in_thread, retried

log = logging.getLogger(__name__)

T = TypeVar("T")


class RecordingPace(Value):
    """How often the recorder writes; each write is paid for."""

    flush_interval_s: float = 1.4
    flush_characters: int = 64 * 1024
    # Together with the write itself, a request to cancel is seen within 3 s.
    heartbeat_interval_s: float = 2.75
    retry_pause_s: float = 0.25
    # What a run may hold in memory while the store is not available.
    buffer_characters: int = 8 * 1024 * 1024


class RunRecorder:
    """
    Buffers a run's events and writes them as segments, in order.

    Run `record` as a task beside the execution, end it with `close`, then call `finish`.
    """

    def __init__(
        self,
        run: AgentRun,
        executor: str,
        *,
        ports: RunPorts,
        pace: RecordingPace,
        lease: OwnLease,
    ) -> None:
        self._key = run.key
        self._executor = executor
        self._ports = ports
        self._pace = pace
        self._lease = lease
        self._buffer = EventBuffer()
        self._held: list[tuple[RecordedEvent, int]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._first_buffered_at: float | None = None
        self._last_written: Sequence[RecordedEvent] = ()
        self._ends = 0
        self._writing = asyncio.Lock()

    def add(self, event: RecordedEvent, *, characters: int) -> None:
        """Buffer an event of about this size; the next flush writes it, and what was held."""
        if self._held:
            held, self._held = self._held, []
            for earlier, size in held:
                self.add(earlier, characters=size)
        if not self._buffer:
            self._first_buffered_at = asyncio.get_running_loop().time()
            self._wake.set()
        self._buffer.add(event, characters=characters)
        if self._buffer.characters >= self._pace.flush_characters:
            self._wake.set()

    def hold(self, event: RecordedEvent, *, characters: int) -> None:
        """Keep an event for the next step, which is written with it: no flush writes it before."""
        self._held.append((event, characters))

    @property
    def is_holding(self) -> bool:
        """Whether an event is held that no step was written with, as far as is known."""
        return bool(self._held)

    @property
    def is_full(self) -> bool:
        """Whether more is buffered than a run may hold in memory."""
        return self._buffer.characters > self._pace.buffer_characters

    async def record(self) -> None:
        """
        Flush and renew the lease at the recorder's pace until `finish` is called.

        While the store is not available, events are kept and writes are tried again.

        Raises:
            FencedError: Another executor owns the run, or it has ended.
            CancelRequestedError: Somebody has asked for the run's end.
        """
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + self._pace.heartbeat_interval_s
        while True:
            available = True
            await self._sleep_until(min(heartbeat_at, self._flush_due_at()))
            if self._closing:
                return
            # A step writes the header as well; two at once would refuse each other.
            async with self._writing:
                if loop.time() >= heartbeat_at:
                    available = await _succeeds(self._heartbeat())
                    if available:
                        heartbeat_at = loop.time() + self._pace.heartbeat_interval_s
                # Even while heartbeats fail: if the run dies, its events are what is left.
                if not self._closing and loop.time() >= self._flush_due_at():
                    available = await _succeeds(self._flush()) and available
            if not available:
                await asyncio.sleep(self._pace.retry_pause_s)

    def _flush_due_at(self) -> float:
        if self._buffer.characters >= self._pace.flush_characters:
            return 0.0
        if self._first_buffered_at is None:
            return float("inf")
        return self._first_buffered_at + self._pace.flush_interval_s

    async def _sleep_until(self, due_at: float) -> None:
        """Wait until that time, or until something has brought it forward."""
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
        sent = self._lease.moment()
        run = await in_thread(
            self._ports.threads,
            self._ports.store.heartbeat,
            self._key,
            self._executor,
            lease_until=sent.lease_until,
        )
        self._lease.renewed(sent)
        if run.cancel_requested:
            raise CancelRequestedError

    async def _flush(self, *, whole: bool = False) -> None:
        """Write one segment, or all of them if `whole`."""
        while self._buffer:
            segment = self._buffer.segment(characters=self._pace.flush_characters)
            at = self._ports.clock.now()
            await in_thread(self._ports.threads, self._ports.log.append, self._key, segment, at=at)
            self._buffer.drop(len(segment))
            self._last_written = segment
            if not whole:
                break
        now = asyncio.get_running_loop().time()
        self._first_buffered_at = now if self._buffer else None

    async def _flush_singly(self) -> None:
        """Write the buffered events one by one, and leave out those that cannot be written."""
        left_out = 0
        while self._buffer:
            event, *_ = self._buffer.segment(characters=0)
            append = partial(self._ports.log.append, self._key, [event], supersedes=True)
            try:
                await in_thread(self._ports.threads, append, at=self._ports.clock.now())
            except (FencedError, StoreUnavailableError):
                raise
            except Exception:  # noqa: BLE001 - the cause was logged when the whole was to be written
                left_out += 1
            self._buffer.drop(1)
        if left_out:
            extra = {"runId": self._key.run_id, "events": left_out}
            log.error("events that cannot be stored are left out", extra=extra)

    def take_back(self, *, after: int) -> None:
        """
        Forget the events above an id.

        If some of them are stored already, the rest of their segment is buffered again: the next
        events get the same ids and take their places when `finish` writes them singly.
        """
        self._buffer.drop_after(after)
        if self._last_written and self._last_written[-1].id > after:
            for event in self._last_written:
                if event.id <= after:
                    self._buffer.add(event, characters=0)

    async def keep(self, step: Step) -> None:
        """
        Make a step durable with all events up to it, beside `record`.

        It tries again while the store is not available; the caller has to stop once the lease
        may be over. A caller that is cancelled waits for the write that is being made.

        Raises:
            FencedError: Another executor owns the run, or it has ended.
            CancelRequestedError: Somebody has asked for the run's end; the step is durable.
        """
        async with self._writing:
            while self._buffer.characters > self._pace.flush_characters:
                await self._unhurried(self._flush)
            run = await self._unhurried(partial(self._write_step, step))
        if run.cancel_requested:
            raise CancelRequestedError

    async def _write_step(self, step: Step) -> AgentRun:
        buffered = self._buffer.segment(characters=self._buffer.characters)
        events = [*buffered, *(event for event, _ in self._held)]
        sent = self._lease.moment()
        run = await in_thread(
            self._ports.threads,
            self._ports.journal.write,
            self._key,
            self._executor,
            step,
            events,
            at=sent.now,
            lease_until=sent.lease_until,
        )
        self._lease.renewed(sent)
        # Here, since the caller who waits for the write may be cancelled meanwhile.
        self._buffer.drop(len(buffered))
        self._held.clear()
        self._last_written = events or self._last_written
        self._first_buffered_at = None
        return run

    async def _unhurried(self, write: Callable[[], Awaitable[T]]) -> T:
        """Repeat a write until it succeeds; if cancelled, end with the try that is under way."""
        while True:
            trying = asyncio.ensure_future(write())
            try:
                return await asyncio.shield(trying)
            except StoreUnavailableError:
                await asyncio.sleep(self._pace.retry_pause_s)
            except asyncio.CancelledError:
                await asyncio.wait({trying})
                raise

    async def hand_over(
        self, *, last_event_id: int, used: Metrics, give_up_after: timedelta
    ) -> None:
        """
        Write what is buffered, and let go of the run; call it when `record` has ended.

        Raises:
            FencedError: Another executor owns the run, or it has ended.
            StoreUnavailableError: The store was not available for `give_up_after`.
        """

        async def write() -> None:
            await self._flush(whole=True)
            let_go, at = self._ports.journal.hand_over, self._ports.clock.now()
            await in_thread(
                self._ports.threads,
                let_go,
                self._key,
                self._executor,
                at=at,
                last_event_id=last_event_id,
                used=used,
            )

        pauses = self._pauses(give_up_after)
        await retried(write, pauses, before_retry=self._renew_if_possible)

    async def begin_continuation(
        self, *, start_id: int, step: Step, give_up_after: timedelta
    ) -> AgentRun:
        """
        Make START of a continuation durable, and renew the lease, before `record` begins.

        Only the header and the step are written, under the fence; the log gets START with the next
        flush.

        Returns:
            The run as stored; look at whether it is to be cancelled.

        Raises:
            FencedError: Another executor owns the run, or it is not RUNNING.
            StoreUnavailableError: The store was not available for `give_up_after`.
        """

        async def begin() -> AgentRun:
            sent = self._lease.moment()
            run = await in_thread(
                self._ports.threads,
                self._ports.store.begin_continuation,
                self._key,
                self._executor,
                lease_until=sent.lease_until,
                start_id=start_id,
                step=step,
            )
            self._lease.renewed(sent)
            return run

        return await retried(begin, self._pauses(give_up_after))

    def _pauses(self, give_up_after: timedelta) -> Iterable[float]:
        return every(self._pace.retry_pause_s, for_s=give_up_after.total_seconds())

    def close(self) -> None:
        """Make `record` end after its current write."""
        self._closing = True
        self._wake.set()

    async def finish(
        self, outcome: Outcome, *, at: datetime, give_up_after: timedelta, singly: bool = False
    ) -> None:
        """
        Write what is buffered, the terminal event included, then the run's end.

        Call it when `record` has ended: two writers would mix the order. While the store is not
        available the lease is renewed whenever it can be, so that nobody takes the run for dead.
        What is stored of the end is not written again. `singly` leaves out events that cannot be
        written.

        Raises:
            FencedError: Another executor owns the run, or it has ended.
            StoreUnavailableError: The store was not available for `give_up_after`.
        """
        progress = EndProgress(end=self._ends)
        self._ends += 1

        async def write() -> None:
            if singly:
                await self._flush_singly()
            elif len(outcome.output) > PREVIEW_BYTES:
                await self._flush_beside(partial(self._keep_texts, outcome, at, progress))
            else:
                # It lies in the header, as a rule.
                await self._flush(whole=True)
            await self._end(outcome, at, progress)

        pauses = self._pauses(give_up_after)
        await retried(write, pauses, before_retry=self._renew_if_possible)

    async def _renew_if_possible(self) -> None:
        # Fenced off, perhaps by the very write whose reply was lost: the next try tells.
        with contextlib.suppress(StoreUnavailableError, CancelRequestedError, FencedError):
            await self._heartbeat()

    async def _flush_beside(self, keep: Callable[[], Awaitable[None]]) -> None:
        """Write the last segments and the run's texts side by side; the end comes after both."""
        results = await asyncio.gather(self._flush(whole=True), keep(), return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def _keep_texts(self, outcome: Outcome, at: datetime, progress: EndProgress) -> None:
        threads, keep = self._ports.threads, self._ports.store.keep_texts
        await in_thread(threads, keep, self._key, self._executor, outcome, at=at, progress=progress)

    async def _end(self, outcome: Outcome, at: datetime, progress: EndProgress) -> None:
        threads, end = self._ports.threads, self._ports.store.finish
        await in_thread(threads, end, self._key, self._executor, outcome, at=at, progress=progress)


async def _succeeds(write: Awaitable[None]) -> bool:
    try:
        await write
    except StoreUnavailableError:
        return False
    return True
