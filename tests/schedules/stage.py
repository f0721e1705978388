"""Run actors in threads, exactly one at a time: the one with the baton."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.schedules.touches import EVERYTHING, Touches


class Fault(StrEnum):
    """What may happen to a call."""

    NONE = ""
    REFUSED = "never sent"
    LOST = "reply lost"
    DIES = "process dies"
    """The call is made, and its process is never heard of again."""


class ProcessDied(BaseException):
    """The actor's process is gone."""


Faults = Callable[[str, str], Sequence[Fault]]
"""Return the faults that may happen to a call, by the names of actor and call."""


def no_faults(_actor: str, _call: str) -> Sequence[Fault]:
    return ()


@dataclass
class Step:
    """One call of one actor."""

    actor: str
    call: str
    fault: Fault
    result: str = ""

    def __str__(self) -> str:
        fault = f"  [{self.fault}]" if self.fault else ""
        return f"{self.actor:10} {self.call:44} {self.result}{fault}"


@dataclass
class _Actor:
    name: str
    act: Callable[[], None]
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    waits_with: str | None = None
    touches: Touches = EVERYTHING
    is_dead: bool = False


@dataclass(frozen=True)
class Choice:
    """Which of the possible next steps was taken, and how many there were."""

    taken: int
    of: int


class Stage:
    """
    Plays actors, one step at a time, along a schedule.

    A step is a call and everything that its actor does until the next call. An actor has run up
    to its first call when the schedule begins. Where the schedule is silent, the actor of the
    last step makes the next one.

    Steps that come to the same in either order are played in one: with `max_switches`, which tells
    schedules from one another by their order, they are not.

    Args:
        schedule: Which of the possible steps is taken, as far as that is decided.
        faults: What may happen to calls.
        max_faults: How many faults one schedule has at most.
        max_switches: How often an actor that could go on is stopped; None is no limit.
    """

    def __init__(
        self,
        schedule: Sequence[int] = (),
        *,
        faults: Faults = no_faults,
        max_faults: int = 1,
        max_switches: int | None = None,
    ) -> None:
        self.steps: list[Step] = []
        self.choices: list[Choice] = []
        self.errors: list[tuple[str, Exception]] = []
        self._schedule = schedule
        self._faults = faults
        self._faults_left = max_faults
        self._switches_left = max_switches
        self._actors: list[_Actor] = []
        self._running: _Actor | None = None
        self._asleep: set[str] = set()
        self.is_cut = False
        self._is_ready = False
        self._main = threading.Semaphore(0)
        self._fault = Fault.NONE

    @property
    def actor(self) -> str | None:
        """The actor that is making a step; None for code outside of actors."""
        return self._running.name if self._running else None

    def play(self, actors: Mapping[str, Callable[[], None]]) -> None:
        """Play all actors to their ends."""
        self._actors = [_Actor(name, act) for name, act in actors.items()]
        threads = [threading.Thread(target=self._run, args=(one,)) for one in self._actors]
        for actor, thread in zip(self._actors, threads, strict=True):
            self._running = actor
            thread.start()
            self._main.acquire()
        self._is_ready = True
        self._pass_on()
        self._main.acquire()
        self._running = None
        for thread in threads:
            thread.join()

    def step(self, call: str, touches: Touches = EVERYTHING) -> Step:
        """
        Wait until this actor may make a call that touches this.

        Returns:
            The step, whose `fault` is to be met, and whose `result` is to be filled in.

        Raises:
            ProcessDied: The actor's process is gone already.
        """
        me = self._running
        assert me is not None
        if me.is_dead:
            raise ProcessDied
        me.waits_with, me.touches = call, touches
        self._pass_on(to_myself=me)
        me.waits_with = None
        if self.is_cut:
            me.is_dead = True
            raise ProcessDied
        step = Step(me.name, call, self._fault)
        me.is_dead = self._fault is Fault.DIES
        self.steps.append(step)
        return step

    def _run(self, me: _Actor) -> None:
        try:
            me.act()
        except ProcessDied:
            pass
        except Exception as error:  # noqa: BLE001 - judged after the schedule
            self.errors.append((me.name, error))
        finally:
            self._pass_on()

    def _pass_on(self, *, to_myself: _Actor | None = None) -> None:
        """Pass the baton to the next actor and wait to get it back, unless this actor is next."""
        following = self._choose() if self._is_ready else None
        if following is not None and following is to_myself:
            return
        self._running = following
        (following.baton if following else self._main).release()
        if to_myself is not None:
            to_myself.baton.acquire()
            self._running = to_myself

    def _choose(self) -> _Actor | None:
        waiting = [actor for actor in self._actors if actor.waits_with is not None]
        options = self._options(waiting)
        if waiting and not options:
            # Another schedule has the same effect, so the rest of this one need not be played.
            self.is_cut = True
            return waiting[0]
        if not options:
            return None
        place = len(self.choices)
        taken = self._schedule[place] if place < len(self._schedule) else 0
        self.choices.append(Choice(taken, len(options)))
        following, self._fault = options[taken]
        self._faults_left -= self._fault is not Fault.NONE
        if self._switches_left is None:
            self._fall_asleep([actor for actor, _ in options[:taken]], following)
        elif self._running in waiting and following is not self._running:
            self._switches_left -= 1
        return following

    def _fall_asleep(self, tried: Sequence[_Actor], following: _Actor) -> None:
        """
        Keep actors asleep whose step could have come earlier, if that has been played.

        See "sleep sets" in P. Godefroid, Partial-Order Methods for the Verification of Concurrent
        Systems, 1996.
        """
        asleep = self._asleep | {actor.name for actor in tried}
        self._asleep = {
            actor.name
            for actor in self._actors
            if actor.name in asleep
            and actor is not following
            and actor.touches.commutes_with(following.touches)
        }

    def _options(self, waiting: Sequence[_Actor]) -> list[tuple[_Actor, Fault]]:
        if self.is_cut:
            return []
        first = [actor for actor in waiting if actor is self._running]
        others = [actor for actor in waiting if actor is not self._running]
        if first and self._switches_left == 0:
            others = []
        awake = [actor for actor in (*first, *others) if actor.name not in self._asleep]
        return [(actor, fault) for actor in awake for fault in self._possible(actor)]

    def _possible(self, actor: _Actor) -> Sequence[Fault]:
        assert actor.waits_with is not None
        faults = self._faults(actor.name, actor.waits_with) if self._faults_left else ()
        return (Fault.NONE, *faults)
