"""Many background runs at once, while workers die, messages come twice and the store is away."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from unittest.mock import patch

from agentrun.domain.agents import Replay
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import AgentRun
from agentrun.service.reading import runs as run_reading
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.simulation.agents.directory import an_agent
from tests.simulation.blocking_calls import wait_for
from tests.simulation.callers import Caller
from tests.simulation.functions import Site
from tests.simulation.ledger import Ledger
from tests.simulation.process import Process
from tests.simulation.scripts import Call, Say, Step, Wait, whole_text
from tests.simulation.storage import Memory, Storage
from tests.simulation.virtual_time import StuckError, process_loop
from tests.simulation.weather import Fault, Weather
from tests.simulation.world import World

COPIES = 2
WORKERS = 20
STARTS_A_SECOND = 10
AWAY_S = 5.0
LONGEST_S = 3600.0
OF_THE_QUEUE = {"send", "keep_for"}


@dataclass(frozen=True)
class StormReport:
    """What came of it."""

    runs: int
    statuses: dict[str, int]
    calls: int
    repeated_calls: int
    losses: int
    kills: int
    refused_calls: int
    refused_starts: int
    messages: int
    deliveries: int
    dead_letters: int
    store_calls: int
    virtual_s: float
    broken: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        lines = [
            f"{self.runs} runs accepted, {self.refused_starts} starts refused: {ended}",
            (
                f"{self.messages} messages, delivered {self.deliveries} times, "
                f"{self.dead_letters} dead letters"
            ),
            f"{self.kills} workers killed, {self.losses} executions lost",
            f"{self.calls} tool calls, {self.repeated_calls} of them again after a loss",
            f"{self.store_calls} calls of the store, {self.refused_calls} refused",
            f"{self.virtual_s:.0f} s of virtual time",
            *(f"{name}: {detail}" for name, detail in self.broken[:10]),
        ]
        return "\n".join(lines)


class Storm:
    """
    So many runs, a fifth as many killed workers, and five seconds without a store.

    Nobody reads a run: queue and workers alone bring all to their ends.
    """

    def __init__(self, seed: int, runs: int, storage: Callable[..., Storage] = Memory) -> None:
        luck = Random(seed)
        random.seed(seed)
        weather = Weather(luck, {}, slow=0.05, slowest_s=0.3)
        self._world = world = World(luck, weather)
        self._runs = runs
        quota = InMemoryRunQuota(RunLimits(runs_per_user=0, runs_per_tenant=0))
        self._storage = storage(world, timedelta(hours=1), quota)
        self._ledger = Ledger(world, self._storage.truth.runs)
        self._clients = process_loop(world.timeline, "clients")
        self._site = Site(
            world,
            self._storage,
            self._ledger,
            self._clients,
            timedelta(hours=1),
            an_agent(attempts=3),
            longest_s=60.0,
            most_workers=WORKERS,
            copies=lambda: COPIES,
        )
        self._lasts_s = runs / STARTS_A_SECOND
        self._accepted: list[str] = []
        self._refused = 0
        self._kills = 0

    def play(self) -> StormReport:
        """Play it until the queue is empty and no worker is busy."""
        with patch.object(run_reading, "wait", wait_for):
            main = self._clients.create_task(self._play())
            try:
                self._world.timeline.run(main.done, until=LONGEST_S, turns=100_000_000)
                main.result()
            except StuckError as stuck:
                self._ledger.breach("everything_comes_to_an_end", str(stuck))
            for context in self._world.timeline.unhandled:
                self._ledger.breach("no_error_is_lost", str(context))
            report = self._report()
            self._site.unwind()
        return report

    async def _play(self) -> None:
        self._world.ambushes.append(self._away)
        starts = [asyncio.ensure_future(self._start(n)) for n in range(self._runs)]
        killing = asyncio.ensure_future(self._kill())
        await asyncio.gather(*starts, killing)
        # Virtual time: nothing tells that nothing is left.
        while self._site.queue.left or any(  # noqa: ASYNC110
            process.is_busy for process in self._workers()
        ):
            await asyncio.sleep(1)

    def _workers(self) -> list[Process]:
        return [process for process in self._site.workers if not process.is_dead]

    def _away(self, process: Process, method: str, subject: str | None) -> Fault | None:
        """Refuse every call of the store for some seconds in the middle."""
        begins_at = self._lasts_s / 2
        is_away = begins_at <= self._world.now < begins_at + AWAY_S
        return Fault.REFUSED if is_away and method not in OF_THE_QUEUE else None

    async def _start(self, number: int) -> None:
        await asyncio.sleep(self._world.random.uniform(0, self._lasts_s))
        caller = Caller(self._site, f"user{number % 7}")
        while True:
            message = caller.new_message(self._script(f"r{number}"))
            run_id = await caller.enqueue(None, message=message)
            if run_id is not None:
                self._accepted.append(run_id)
                return
            self._refused += 1
            await asyncio.sleep(self._world.random.uniform(0.5, 1.5))

    def _script(self, name: str) -> tuple[Step, ...]:
        luck, steps = self._world.random, list[Step]()
        for number, replay in enumerate((Replay.IDEMPOTENT, Replay.SAFE, Replay.IDEMPOTENT)):
            steps.append(Say(f"{name}.{number} "))
            steps.append(Call(f"{name}.call{number}", luck.uniform(0, 1), replay))
        return (*steps, Wait(luck.uniform(0, 1)), Say(f"{name} ends"))

    async def _kill(self) -> None:
        most = self._runs // 5
        while self._kills < most:
            await asyncio.sleep(self._world.random.uniform(0, 2 * self._lasts_s / most))
            busy = [process for process in self._workers() if process.is_busy]
            if busy:
                self._kills += 1
                self._world.random.choice(busy).kill()

    # What came of it.

    def _report(self) -> StormReport:
        ledger, weather = self._ledger, self._world.weather
        runs = [self._ended(run_id) for run_id in self._accepted]
        facts = [ledger.runs[run_id] for run_id in self._accepted]
        acts = [executors for fact in facts for executors in fact.acts.values()]
        return StormReport(
            runs=len(self._accepted),
            statuses=dict(Counter(str(run.error_type or run.status) for run in runs)),
            calls=sum(map(len, acts)),
            repeated_calls=sum(len(executors) - 1 for executors in acts),
            losses=sum(fact.losses for fact in facts),
            kills=self._kills,
            refused_calls=weather.counts[Fault.REFUSED],
            refused_starts=self._refused,
            messages=len(self._site.queue.messages),
            deliveries=self._site.queue.deliveries,
            dead_letters=len(self._site.queue.dead_letters),
            store_calls=self._world.calls.total(),
            virtual_s=self._world.now,
            broken=tuple(ledger.broken),
        )

    def _ended(self, run_id: str) -> AgentRun:
        """Return a run, which has to have ended, and been executed once but for losses."""
        facts = self._ledger.runs[run_id]
        run = self._storage.truth.runs.get(facts.key)
        script = self._ledger.scripts[facts.message]
        if not run.status.is_terminal:
            self._ledger.breach("every_run_ends", f"{run_id} is {run.status}")
        elif run.error_type is None and run.output != whole_text(script):
            self._ledger.breach("a_run_answers_whole", f"{run_id}: {run.output!r}")
        most = 1 + facts.losses + facts.handed_over
        if len(facts.executors) > most:
            detail = f"{run_id}: {', '.join(facts.executors)}"
            self._ledger.breach("a_run_is_executed_once_but_for_losses", detail)
        for call, executors in facts.acts.items():
            if len(executors) > 1 + facts.losses:
                self._ledger.breach("a_step_is_made_once_but_for_losses", f"{run_id} {call}")
        return run
