"""The world between processes and their store: latency, faults, freezes and a trace."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from agentrun.domain.errors import StoreUnavailableError
from tests.simulation.blocking_calls import GoneError, Worker
from tests.simulation.virtual_time import Timeline
from tests.simulation.weather import CALL_TIMES_OUT_S, Fault, Weather

if TYPE_CHECKING:
    from tests.simulation.process import Process

EPOCH = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


Ambush = Callable[["Process", str, str | None], Fault | None]
"""Is asked at every call, with process, method and run; may return a fault for it."""


@dataclass(frozen=True)
class Outcome:
    """A store's answer: a value or an error."""

    value: Any = None
    error: BaseException | None = None

    @classmethod
    def of(cls, apply: Callable[[], Any]) -> "Outcome":
        try:
            return cls(apply())
        except Exception as error:  # noqa: BLE001 - the caller is told, whatever it is
            return cls(error=error)


def unavailable() -> Exception:
    """Return the error of a store that cannot be reached."""
    return StoreUnavailableError("The store cannot be reached at the moment.")


@dataclass
class World:
    """One example: its time, its luck, its weather, and a trace of what has happened."""

    random: Random
    weather: Weather
    timeline: Timeline = field(default_factory=Timeline)
    steps: int = 0
    is_over: bool = False
    is_late: bool = False
    """Whether a call is applied after its caller has given it up or had its answer."""
    calls: Counter[str] = field(default_factory=Counter)
    trace: deque[str] = field(default_factory=lambda: deque(maxlen=4000))
    ambushes: list[Ambush] = field(default_factory=list)

    @property
    def now(self) -> float:
        return self.timeline.now

    def instant(self) -> datetime:
        """Return the true time."""
        return EPOCH + timedelta(seconds=self.now)

    def note(self, who: str, what: str) -> None:
        """Write a line of the trace."""
        self.steps += 1
        self.trace.append(f"{self.now:10.3f} {who:12} {what}")

    def call(
        self,
        process: "Process",
        method: str,
        apply: Callable[[], Any],
        *,
        failure: Callable[[], Exception] = unavailable,
        is_write: bool = True,
        is_conditional: bool = True,
        subject: str | None = None,
    ) -> Any:
        """
        Make a call of the store for a process, from one of its threads, with random faults.

        Raises:
            GoneError: The process has been killed.
            Exception: What the store raises, or `failure` where the reply does not come.
        """
        worker = Worker.current()
        if worker.is_gone:
            raise GoneError
        if self.is_over:
            raise failure()
        self.calls[method] += 1
        fault = self._fault(process, method, subject)
        if fault is Fault.TWICE and is_conditional:
            fault = Fault.LATE
        if fault is Fault.LATE and not is_write:
            fault = Fault.LOST
        self._strike(process, worker, fault, before=True)
        outcome = self._answered(process, worker, method, apply, fault)
        self._strike(process, worker, fault, before=False)
        if outcome is None:
            self.note(process.name, f"{method}: no reply ({fault})")
            raise failure()
        result = outcome.error if outcome.error is not None else ""
        self.note(process.name, f"{method}: {type(result).__name__ if result else 'done'} {result}")
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def _fault(self, process: "Process", method: str, subject: str | None) -> Fault:
        for ambush in list(self.ambushes):
            struck = ambush(process, method, subject)
            if struck is not None:
                return self.weather.count(struck)
        if self.weather.is_out(process.name, method, self.now):
            return Fault.REFUSED
        return self.weather.fault()

    def _answered(
        self,
        process: "Process",
        worker: Worker,
        method: str,
        apply: Callable[[], Any],
        fault: Fault,
    ) -> Outcome | None:
        """Send the call and wait for the reply, if one comes; the store acts when it likes."""
        there_s, back_s = self.weather.latency_s(), self.weather.latency_s()
        if fault is Fault.SLOW:
            there_s = self.random.choice([there_s, self.weather.is_slow_s()])
            back_s = self.weather.is_slow_s()
        if fault is Fault.LOST:
            back_s = self.random.choice([back_s, 2.0, CALL_TIMES_OUT_S])
        found: list[Outcome] = []
        timeline = self.timeline

        def arrive() -> None:
            found.append(Outcome.of(apply))
            timeline.after(back_s, reply)

        def come_late() -> None:
            self.note("the store", f"{method} of {process.name} arrives late")
            self.is_late = True
            Outcome.of(apply)
            self.is_late = False

        def reply() -> None:
            process.loop.call_soon(process.threads.go_on, worker)

        later_s = self.random.uniform(1, 30)
        if fault is Fault.REFUSED:
            timeline.after(there_s + back_s, reply)
        elif fault is Fault.LATE:
            timeline.after(CALL_TIMES_OUT_S, reply)
            timeline.after(CALL_TIMES_OUT_S + later_s, come_late)
        else:
            timeline.after(there_s, arrive)
            if fault is Fault.TWICE:
                timeline.after(there_s + later_s, come_late)
        worker.park()
        return None if fault is Fault.LOST or not found else found[0]

    def _strike(self, process: "Process", worker: Worker, fault: Fault, *, before: bool) -> None:
        if fault is (Fault.KILL_BEFORE if before else Fault.KILL_AFTER):
            process.kill()
            raise GoneError
        if fault is Fault.STOP and before:
            process.stop()
        if fault is (Fault.FREEZE_BEFORE if before else Fault.FREEZE_AFTER):
            process.freeze(self.random.choice([2.0, 14.0, 16.0, 18.0, 20.0, 40.0]))
            process.loop.call_soon(process.threads.go_on, worker)
            worker.park()
