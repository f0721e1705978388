"""One example: a seed, and everything that follows from it."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from string import ascii_letters
from typing import Any
from unittest.mock import patch
from uuid import UUID

from agentrun.domain.errors import SessionBusyError, SessionNotFoundError
from agentrun.domain.runs import Lease
from agentrun.service.reading import runs as run_reading
from tests.runs import a_queued_run, a_request
from tests.simulation.agents.directory import draw_agent
from tests.simulation.blocking_calls import wait_for
from tests.simulation.callers import Caller
from tests.simulation.closing import Closing
from tests.simulation.functions import Site
from tests.simulation.ledger import Ledger
from tests.simulation.process import Process
from tests.simulation.scripts import Ask, Say
from tests.simulation.storage import Memory, Storage
from tests.simulation.virtual_time import StuckError, process_loop
from tests.simulation.weather import Fault, Weather
from tests.simulation.world import World

LONGEST_S = 2000 * 3600.0
AMBUSHED = {
    "start": 2,
    "resume": 4,
    "heartbeat": 2,
    "begin_continuation": 3,
    "finish": 2,
    "append": 2,
    "expire": 2,
    "settle": 2,
    "keep": 1,
    "restore_pause": 2,
    "request_cancel": 1,
    "begin_queued": 1,
    "release": 1,
    "get": 1,
    "write": 3,
    "take_over": 3,
    "hand_over": 2,
    "may_ask": 1,
    "steps": 1,
    "request": 1,
    "send": 2,
    "keep_for": 1,
    "get_state": 1,
    "checkpoint": 1,
    "delete": 1,
    "lock": 1,
}
"""Where an actor may lie in wait, and how often one does."""


@dataclass
class Report:
    """The result of an example."""

    seed: int
    broken: list[tuple[str, str]]
    steps: int
    store_calls: int
    faults: dict[str, int]
    trace: list[str]
    virtual_s: float


class Example:
    """Plays one example."""

    def __init__(self, seed: int, storage: Callable[[World, timedelta], Storage] = Memory) -> None:
        self.seed = seed
        luck = Random(seed)
        # The services' own random choices follow the seed too.
        random.seed(seed)
        self.world = World(luck, Weather.of(luck))
        self.is_long = luck.random() < 0.15
        expiry_s = luck.choice([20.0, 120.0, 3600.0]) if not self.is_long else 24 * 3600.0
        self.expiry = timedelta(seconds=expiry_s)
        self.storage = storage(self.world, self.expiry)
        self.ledger = Ledger(self.world, self.storage.truth.runs)
        self.ledger.limit = self.storage.truth.quota.limits.runs_per_user
        self.clients = process_loop(self.world.timeline, "clients")
        self.site = Site(
            self.world,
            self.storage,
            self.ledger,
            self.clients,
            self.expiry,
            draw_agent(luck),
            longest_s=luck.choice([240.0, 240.0, 60.0, 25.0]),
            copies=self._copies,
        )
        self.sessions = [str(UUID(int=luck.getrandbits(128), version=4)) for _ in range(3)]
        self.callers = [
            Caller(self.site, name, asks=8 if self.is_long else 4) for name in ("ana", "ana", "bob")
        ]

    def play(self) -> Report:
        """Play the example to its end, or to the first broken promise."""
        with patch.object(run_reading, "wait", wait_for):
            return self._played()

    def _played(self) -> Report:
        main = self.clients.create_task(self._play())
        if self.is_long:
            self._expire()
        ledger = self.ledger
        try:
            self.world.timeline.run(lambda: main.done() or bool(ledger.broken), until=LONGEST_S)
            if main.done() and not ledger.broken:
                main.result()
            for context in self.world.timeline.unhandled:
                ledger.breach("no_error_is_lost", str(context))
        except StuckError as stuck:
            ledger.breach("everything_comes_to_an_end", str(stuck))
        finally:
            self.site.unwind()
        world = self.world
        return Report(
            seed=self.seed,
            broken=ledger.broken,
            steps=world.steps,
            store_calls=world.calls.total(),
            faults=dict(world.weather.counts),
            trace=list(world.trace),
            virtual_s=world.now,
        )

    def _copies(self) -> int:
        luck = self.world.random
        return luck.choice([1, 1, 1, 2]) if not self.world.weather.is_fine else 1

    async def _play(self) -> None:
        luck = self.world.random
        tasks = [
            asyncio.ensure_future(self._actor(luck.choice(self._actors())))
            for _ in range(luck.randint(2, 8))
        ]
        if luck.random() < 0.03:
            tasks.append(asyncio.ensure_future(self._actor(self._crowds)))
        if luck.random() < (0.02 if self.storage.is_open else 0.0):
            tasks.append(asyncio.ensure_future(self._floods()))
        for _ in range(luck.choice([0, 1, 2, 4])):
            self._lay_ambush()
        await asyncio.gather(*tasks)
        self.world.weather.is_fine = True
        self.world.ambushes.clear()
        if self.is_long:
            await asyncio.sleep(luck.choice([0, 3, 12, 20, 23]) * 3600)
        await Closing(self.site, self.callers[0]).look_back()

    def _expire(self) -> None:
        """Delete some of what has expired every hour."""
        self.storage.expire()
        self.world.timeline.after(3600, self._expire)

    # Actors.

    def _actors(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        return [
            self._starts,
            self._starts,
            self._starts,
            self._starts,
            self._enqueues,
            self._enqueues,
            self._approves,
            self._approves,
            self._cancels,
            self._polls,
            self._polls,
            self._attaches,
            self._looks_into_sessions,
            self._deletes,
            self._breaks_things,
        ]

    async def _actor(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        luck = self.world.random
        await asyncio.sleep(luck.uniform(0, 5))
        for _ in range(luck.randint(1, 5)):
            await act()
            longest = luck.choice([1.0, 10.0, 40.0])
            await asyncio.sleep(luck.uniform(0, longest))
            if self.is_long and luck.random() < 0.3:
                await asyncio.sleep(luck.uniform(1, 23) * 3600)

    async def _starts(self) -> None:
        luck = self.world.random
        caller = luck.choice(self.callers)
        await caller.start(
            luck.choice([*self._sessions_of(caller), None]),
            key=luck.choice([None, f"k{luck.randint(1, 10**6)}"]),
            policy=luck.choice(["reject", "enqueue", "interrupt"]),
            media=luck.random() < 0.1,
            is_streamed=luck.random() < 0.9,
        )

    async def _enqueues(self) -> None:
        luck = self.world.random
        caller = luck.choice(self.callers)
        run_id = await caller.enqueue(
            luck.choice([*self._sessions_of(caller), None]),
            key=luck.choice([None, f"k{luck.randint(1, 10**6)}"]),
            policy=luck.choice(["reject", "enqueue", "enqueue", "interrupt"]),
        )
        if run_id is not None and luck.random() < 0.4:
            await asyncio.sleep(luck.uniform(0, 20))
            await caller.attach(run_id, 0)

    def _sessions_of(self, caller: Caller) -> list[str]:
        return self.sessions[:2] if caller.user == "ana" else self.sessions[2:]

    def _any_run(self, status: str | None = None) -> tuple[str, Caller] | None:
        runs = [
            (run_id, facts)
            for run_id, facts in self.ledger.runs.items()
            if status is None or getattr(self.ledger.header(facts.key), "status", None) == status
        ]
        if not runs:
            return None
        run_id, facts = self.world.random.choice(runs[-6:])
        mine = [caller for caller in self.callers if caller.user == facts.user]
        return run_id, self.world.random.choice(mine)

    def _run(self, run_id: str) -> tuple[str, Caller] | None:
        facts = self.ledger.runs.get(run_id)
        if facts is None:
            return None
        return run_id, next(caller for caller in self.callers if caller.user == facts.user)

    async def _approves(self, subject: str | None = None) -> None:
        luck = self.world.random
        for _ in range(20):
            found = self._run(subject) if subject else self._any_run("PAUSED")
            if found is not None:
                break
            await asyncio.sleep(luck.uniform(0.5, 3))
        else:
            return
        run_id, caller = found
        if self.is_long and luck.random() < 0.7:
            await asyncio.sleep(luck.uniform(1, 23.5) * 3600)
        for _ in range(luck.choice([1, 1, 2, 3])):
            way = luck.choice(["stream", "once", "resolve"])
            status = await caller.go_on(run_id, approves=luck.random() < 0.8, way=way)
            if status not in {None, 503}:
                return
            await asyncio.sleep(luck.uniform(0, 3))

    async def _cancels(self, subject: str | None = None) -> None:
        found = self._run(subject) if subject else self._any_run()
        if found is not None:
            await found[1].cancel(found[0])

    async def _polls(self, subject: str | None = None) -> None:
        luck = self.world.random
        found = self._run(subject) if subject else self._any_run()
        for _ in range(luck.randint(1, 10)):
            if found is not None and luck.random() < 0.7:
                await found[1].look(found[0])
            else:
                await luck.choice(self.callers).look_at_all()
            await asyncio.sleep(luck.choice([0.0, 0.2, 1.0, 5.0]))

    async def _attaches(self) -> None:
        luck = self.world.random
        found = self._any_run()
        if found is not None:
            seen = self.ledger.runs[found[0]].meanings
            await found[1].attach(found[0], luck.choice([0, 0, *seen]))

    async def _looks_into_sessions(self) -> None:
        caller = self.world.random.choice(self.callers)
        await caller.look_into(self.world.random.choice(self._sessions_of(caller)))

    async def _deletes(self, subject: str | None = None) -> None:
        luck = self.world.random
        found = self._run(subject) if subject else None
        if found is not None:
            await found[1].delete(self.ledger.runs[found[0]].session)
        elif luck.random() < 0.5:
            caller = luck.choice(self.callers)
            await caller.delete(luck.choice(self._sessions_of(caller)))

    async def _breaks_things(self) -> None:
        """Freeze a process, kill it, or take its store away."""
        luck, world = self.world.random, self.world
        processes = self.site.processes
        if not processes:
            return
        process = luck.choice(processes)
        match luck.choice(["freeze", "outage", "outage", "partial", "kill"]):
            case "freeze":
                world.weather.count(Fault.FREEZE_BEFORE)
                process.freeze(luck.choice([3.0, 16.0, 18.0, 25.0, 40.0]))
            case "kill":
                world.weather.count(Fault.KILL_BEFORE)
                process.kill()
            case kind:
                method = "" if kind == "outage" else luck.choice([*AMBUSHED])
                until = world.now + luck.choice([3.0, 12.0, 18.0, 25.0])
                world.weather.counts["outage"] += 1
                world.weather.outages[process.name, method] = until
                world.note(process.name, f"cannot reach {method or 'the store'} until {until:.1f}")

    async def _floods(self) -> None:
        """Make a run say, and pause with, as much as a partition takes in several seconds."""
        luck = self.world.random
        letters = "".join(luck.choices(ascii_letters, k=250_000))
        says = [Say(f"{number}{letters}") for number in range(luck.randint(5, 9))]
        script = (*says, Ask("flood", 0.0)) if luck.random() < 0.5 else tuple(says)
        caller = luck.choice(self.callers)
        self.world.weather.counts["flood"] += 1
        await caller.start(None, message=caller.new_message(script))

    async def _crowds(self) -> None:
        """Fill a session's queue with runs that have died or been cancelled."""
        luck, runs = self.world.random, self.storage.truth.runs
        caller = luck.choice(self.callers)
        session, now = luck.choice(self._sessions_of(caller)), self.world.instant()
        self.world.weather.counts["crowd"] += 1
        self.ledger.crowded[session] = caller.user
        for _ in range(120):
            run = a_queued_run(
                f"crowd-{self.world.timeline.number()}",
                session_id=session,
                user_id=caller.user,
                lease=Lease(executor="nobody", until=now - timedelta(seconds=60)),
                created_at=now,
            )
            with suppress(SessionBusyError, SessionNotFoundError):
                runs.start(run, a_request())
                if luck.random() < 0.5:
                    runs.request_cancel(run.key, at=now)

    def _lay_ambush(self) -> None:
        """Let an actor act just as a method is called, and let its caller fail."""
        luck, world = self.world.random, self.world
        method = luck.choices([*AMBUSHED], [*AMBUSHED.values()])[0]
        fault: Fault | None = luck.choice([None, Fault.SLOW, Fault.SLOW, *Fault])
        act: Callable[[str | None], Coroutine[Any, Any, None]] | None = luck.choice(
            [self._cancels, self._cancels, self._polls, self._deletes, self._approves, None]
        )
        skips = luck.choice([0, 0, 1, 3])
        delay_s = luck.choice([0.0, 0.0, 0.02, 0.1, 0.5, 1.0, 3.0, 16.0])

        def ambush(process: Process, called: str, subject: str | None) -> Fault | None:
            nonlocal skips
            if called != method:
                return None
            skips -= 1
            if skips >= 0:
                return None
            world.ambushes.remove(ambush)
            world.note(process.name, f"ambushed at {method}")
            if act is not None:
                self.clients.call_later(delay_s, lambda: asyncio.ensure_future(act(subject)))
            return fault

        world.ambushes.append(ambush)
