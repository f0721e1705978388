"""
Blocking calls that can be stopped midway: threads of which one runs at a time.

A service's blocking code runs in a thread of its own, as it does in a real process, and hands
control back to the timeline wherever it waits for the store. So other actors come in between any
two calls, and the order of all of them is the seed's alone.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from agentrun.domain.runs import AgentRun
from tests.simulation.virtual_time import ProcessLoop

T = TypeVar("T")


class GoneError(BaseException):
    """The process has been killed; its work does not continue."""


class Worker(threading.Thread):
    """A thread that runs only while the timeline waits for it."""

    _idle: "list[Worker]" = []  # noqa: RUF012 - one pool for all simulations of a test run

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._job: Callable[[], None] = lambda: None
        self._is_done = False
        self.is_gone = False
        self.threads: Threads
        self.label: str | None = None
        self.subject: str | None = None
        self.header: AgentRun | None = None
        """Its activity, the run concerned, and that run after the last call."""
        self.start()

    @classmethod
    def hire(cls, job: Callable[[], None], threads: "Threads") -> "Worker":
        worker = cls._idle.pop() if cls._idle else cls()
        worker.threads = threads
        worker.label = worker.subject = None
        worker._job, worker._is_done, worker.is_gone = job, False, False
        return worker

    @staticmethod
    def current() -> "Worker":
        worker = threading.current_thread()
        assert isinstance(worker, Worker), "a store is called in a thread only"
        return worker

    def go_on(self) -> bool:
        """Run it until it parks or is done; return whether it is done."""
        self._go.release()
        self._back.acquire()
        if self._is_done:
            Worker._idle.append(self)
        return self._is_done

    def park(self) -> None:
        """
        Wait, within the worker, until the timeline lets it go on.

        Raises:
            GoneError: Its process is dead.
        """
        self._back.release()
        self._go.acquire()
        if self.is_gone:
            raise GoneError

    def run(self) -> None:
        while True:
            self._go.acquire()
            self._job()
            self._is_done = True
            self._back.release()


class Threads(Executor):
    """The threads of one process, for its loop alone."""

    def __init__(self, loop: ProcessLoop) -> None:
        self.loop = loop
        self._busy: dict[Worker, Callable[[], None]] = {}

    def begin(self, loop: ProcessLoop, call: Callable[[], T]) -> asyncio.Future[T]:
        """Begin a call and run it to its first wait; the timeline decides when it continues."""
        future: asyncio.Future[T] = loop.create_future()
        outcome: list[Callable[[], None]] = []

        def job() -> None:
            try:
                result = call()
            except GoneError:
                return
            except BaseException as error:  # noqa: BLE001 - raised for the caller
                failure = error
                outcome.append(lambda: future.set_exception(failure))
            else:
                outcome.append(lambda: future.set_result(result))

        def deliver() -> None:
            if outcome and not future.done():
                outcome[0]()

        self._start(job, deliver)
        return future

    def _start(self, job: Callable[[], None], deliver: Callable[[], None]) -> None:
        worker = Worker.hire(job, self)
        self._busy[worker] = deliver
        self.go_on(worker)

    def go_on(self, worker: Worker) -> None:
        """Continue a waiting call."""
        deliver = self._busy.get(worker)
        if deliver is not None and worker.go_on():
            del self._busy[worker]
            deliver()

    def kill(self, *, but: threading.Thread) -> None:
        """End all calls where they are; a call that kills its own process ends itself."""
        for worker in list(self._busy):
            worker.is_gone = True
            if worker is not but and worker.go_on():
                del self._busy[worker]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Make a call in another thread, for a blocking call that waits with `wait_for`."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except GoneError:
                return
            except BaseException as error:  # noqa: BLE001 - raised for the caller
                future.set_exception(error)
            else:
                future.set_result(result)

        self.loop.call_soon(self._start, job, lambda: None)
        return future


def wait_for(futures: Iterable["Future[Any]"], timeout: float) -> None:
    """Wait in virtual time, in place of the services' `concurrent.futures.wait`."""
    worker, waited = Worker.current(), list(futures)
    threads = worker.threads
    is_awake = False

    def wake() -> None:
        nonlocal is_awake
        if not is_awake:
            is_awake = True
            threads.loop.call_soon(threads.go_on, worker)

    def look(_: object) -> None:
        if all(future.done() for future in waited):
            wake()

    threads.loop.call_later(timeout, wake)
    for future in waited:
        future.add_done_callback(look)
    worker.park()
