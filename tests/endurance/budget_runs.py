"""Runs with a budget that lose executors, are handed over, break off, pause and are raised."""

import asyncio
import random
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from agent_catalog import load_catalog
from agent_catalog.running.engine import PydanticAiEngine
from agent_catalog.running.tapped import ASKED_AGAIN
from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.events import PauseType
from agentrun.domain.requests import Budget, RunRequest
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.executing.execution import RunExecution
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.starting.continue_run import paused_run
from agentrun.service.worker import RunWorker
from tests.endurance.budget_model import (
    LEAST_BUDGET,
    MOST_BUDGET,
    Ledger,
    LedgerModel,
    Plan,
)
from tests.fakes.counting_agent import counter
from tests.rig import ANA, Rig
from tests.unit.core.service.lost_rig import LAPSED_S, FakeMessage

AGENT = "counter"
COST_OF_A_TOKEN = Decimal("0.000008")
"""About what one costs, so that either limit may be the first to be reached."""
MOST_STOPS = 2
STOPS = ("kill-before", "kill-midst", "kill-end", "hand-midst", "hand-end")
PACE = RecordingPace(flush_interval_s=0.05, heartbeat_interval_s=0.5, retry_pause_s=0.001)
_ENOUGH_S = 60


class AllPrices:
    """The port `PriceList` where every model has a price."""

    def knows(self, model_id: str) -> bool:
        return True


@dataclass(frozen=True)
class Spent:
    """What has become of one run."""

    number: int
    run: AgentRun
    ledger: Ledger
    pauses: int
    stops: int
    budget: Budget
    faults: tuple[str, ...]

    @property
    def share_over(self) -> float | None:
        """By which share of its largest step the run is over its budget; None if it is within."""
        (tokens, cost), shares = self.ledger.largest, list[float]()
        if (limit := self.budget.max_total_tokens) is not None:
            shares.append((self.ledger.tokens - limit) / tokens)
        if (most := self.budget.max_cost_usd) is not None:
            shares.append((float(self.ledger.cost) - most) / float(cost))
        return max((share for share in shares if share >= 0), default=None)

    @property
    def broken(self) -> int:
        """How many answers have broken off, those of killed executors left out."""
        return sum(not entry.is_whole for entry in self.ledger.counted())

    @property
    def most_lost(self) -> int:
        """How many answers nobody could count."""
        return len(self.ledger.entries) - len(self.ledger.counted())

    @property
    def lost(self) -> int:
        """How many tokens the executors have used that were killed, and could not tell."""
        return sum(entry.tokens for entry in self.ledger.entries if entry.is_lost)


def plan_of(seed: int, number: int) -> Plan:
    """Draw a run; the same seed and number give the same."""
    chance = random.Random(f"{seed}/{number}")
    breaks = frozenset(place for place in range(12) if chance.random() < 0.15)
    places = chance.sample(range(8), chance.randint(0, MOST_STOPS))
    return Plan(
        number=seed * 10_000 + number,
        chance=chance,
        steps=chance.randint(0, 5),
        message="x" * chance.randint(40, 2_000),
        breaks=breaks,
        stops={place: chance.choice(STOPS) for place in places},
        tells=chance.random() < 0.5,
        tools=chance.choice([("look",), ("look", "book"), ("order",), ("send", "look")]),
    )


def plan_without_losses(seed: int, number: int) -> Plan:
    """Draw a run of more steps than a budget of a day allows, whose executor lives."""
    return replace(plan_of(seed, number), steps=6, stops={}, tools=("look",))


class BudgetRun:
    """One run on stores of its own, driven to its end by whatever is left of its executors."""

    def __init__(self, plan: Plan, folder: Path, rig: Rig, *, has_budget: bool = True) -> None:
        """
        Write the run's agent.

        Args:
            plan: What its model does, and when its executors are lost.
            folder: An empty folder for the agent's file.
            rig: The stores and the clock.
            has_budget: Whether the run and its agent have one.
        """
        self.plan = plan
        chance = plan.chance
        self._pauses_at_most = chance.randint(0, 3)
        own = _drawn(chance) if has_budget else Budget()
        counter(folder, _file(own, pauses=chance.random() < 0.6))
        self.rig = rig
        self._has_budget = has_budget
        self._runs = rig.runs
        self._catalog = load_catalog("demo", folder)
        self._ports = replace(self.rig.ports, agents=self._catalog, prices=AllPrices())
        self.ledger = Ledger(plan, on_ask=self._check_may_ask, on_stop=self._stopped)
        asked = _drawn(chance) if has_budget else Budget()
        options = asked.model_dump(exclude_none=True)
        self.request = RunRequest.model_validate(
            {
                "message": plan.message,
                "options": options,
                "generateFollowups": chance.random() < 0.5,
            }
        )
        self.budget = own.within(asked)
        self.pauses = self.stops = 0
        self.faults: list[str] = []
        self._stop: asyncio.Future[str] | None = None
        self._process = self._started()

    def _started(self) -> RunLauncher:
        engine = PydanticAiEngine(self._catalog, lambda _: LedgerModel(self.ledger))
        settings = LauncherSettings(on_ended=lambda _run, _outcome: None, pace=PACE)
        return RunLauncher(engine, self._ports, settings)

    async def play(self) -> Spent:
        """Drive the run to its end, and check it there and whenever it pauses."""
        async with asyncio.timeout(_ENOUGH_S):
            begun = await self.begin()
            key = begun.run.key
            await self._watch(asyncio.create_task(self._process.ended(begun)), key)
            while not (run := self._runs.store.get(key)).status.is_terminal:
                await self._watch(asyncio.create_task(self._go_on(run)), key)
        self._check_end(run)
        return Spent(
            self.plan.number,
            run,
            self.ledger,
            self.pauses,
            self.stops,
            self.budget,
            tuple(self.faults),
        )

    async def begin(self) -> RunExecution:
        """Start the run, with nobody reading it."""
        stream = await self._process.begin(ANA, AGENT, self.request, deadline=None)
        assert isinstance(stream, RunExecution)
        stream.detach()
        return stream

    async def _go_on(self, run: AgentRun) -> None:
        if run.status is RunStatus.PAUSED:
            await self._continue(run)
            return
        self.rig.clock.advance(LAPSED_S)
        await RunWorker(self._process, self._ports).work(FakeMessage(run.key), deadline=None)

    async def _continue(self, run: AgentRun) -> None:
        self._check_figures(run)
        paused = await paused_run(ANA, AGENT, run.id, self._runs)
        request = ContinueRequest(action=ApprovalAction.APPROVE)
        action = run.required_action
        if action is not None and action.type is PauseType.BUDGET:
            self.pauses += 1
            self._check_is_reached(run)
            request = self._decision(run)
        execution = await self._process.resume(ANA, paused, request, deadline=None)
        execution.detach()
        await self._process.ended(execution)

    def _decision(self, run: AgentRun) -> ContinueRequest:
        """Raise what is reached, and sometimes what is not, or refuse it."""
        if self.pauses > self._pauses_at_most:
            return ContinueRequest(action=ApprovalAction.REJECT)
        more = self.plan.chance.randint(1, MOST_BUDGET)
        raised = Budget(
            max_total_tokens=(run.total_tokens or 0) + more,
            max_cost_usd=(run.cost_usd or 0) + float(more * COST_OF_A_TOKEN),
        )
        self.budget = raised
        return ContinueRequest(action=ApprovalAction.APPROVE, budget=raised)

    async def _watch(self, work: asyncio.Task[None], key: RunKey) -> None:
        """Let an execution go on to its end, or to the moment at which it is to be stopped."""
        stop = self._stop = asyncio.get_running_loop().create_future()
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            await work
            return
        self.stops += 1
        if stop.result().startswith("hand"):
            await self._process.stop()
            await work
            self._process = self._started()
            return
        tasks = [*self._process._executing, work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._process = self._started()
        self._write_off(key)

    async def _stopped(self, stop: str) -> None:
        """Wait, in the midst of an answer, for what is to happen to its executor."""
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(stop)
            await asyncio.Event().wait()

    def _write_off(self, key: RunKey) -> None:
        """Find out which answers nobody can count any more."""
        stored = self._runs.journal.steps(key)
        known = stored[-1].metrics.total_tokens or 0 if stored else 0
        run = self._runs.store.get(key)
        handed_over = (run.used.total_tokens if run.used else None) or 0
        known = max(known, run.total_tokens or 0, handed_over)
        for entry in reversed(self.ledger.entries):
            if self.ledger.tokens <= known:
                break
            entry.is_lost = True

    def _check_may_ask(self) -> None:
        """Check that no model is asked once the budget is reached."""
        tokens, cost = self.ledger.tokens, self.ledger.cost
        limit, most = self.budget.max_total_tokens, self.budget.max_cost_usd
        if limit is not None and tokens >= limit:
            self.faults.append(f"asked with {tokens} of {limit} tokens spent")
        if most is not None and float(cost) >= most:
            self.faults.append(f"asked with {cost} of {most} USD spent")

    def _check_figures(self, run: AgentRun) -> None:
        is_exact = self.plan.tells or not self.plan.breaks & set(range(len(self.ledger.entries)))
        if is_exact and (run.total_tokens or 0) != self.ledger.tokens:
            self.faults.append(f"says {run.total_tokens} tokens, not {self.ledger.tokens}")

    def _check_is_reached(self, run: AgentRun) -> None:
        limit, most = self.budget.max_total_tokens, self.budget.max_cost_usd
        by_tokens = limit is not None and (run.total_tokens or 0) >= limit
        by_cost = most is not None and (run.cost_usd or 0) >= most
        if not by_tokens and not by_cost:
            self.faults.append(f"{run.status} with {run.total_tokens}, {run.cost_usd} spent")

    def _check_end(self, run: AgentRun) -> None:
        self._check_figures(run)
        answer = next((e for e in reversed(self.ledger.entries) if e.is_last), None)
        if answer is not None and not answer.is_lost:
            is_there = run.status is RunStatus.COMPLETED and (run.output or "").endswith(
                answer.text
            )
            if not is_there:
                self.faults.append(f"a whole answer is thrown away: {run.status}")
        if run.error_type == "BUDGET_EXCEEDED":
            if self._has_budget:
                self._check_is_reached(run)
        elif run.status is not RunStatus.COMPLETED and not self._has_given_up:
            self.faults.append(f"{run.status} {run.error_type} {run.error_message}")
        self._check_over()

    @property
    def _has_given_up(self) -> bool:
        """Whether the model has broken off as often as it is asked again."""
        return not any(entry.is_whole for entry in self.ledger.entries[-(ASKED_AGAIN + 1) :])

    def _check_over(self) -> None:
        """Check that the budget is passed by one step at most."""
        tokens, cost = self.ledger.largest
        limit, most = self.budget.max_total_tokens, self.budget.max_cost_usd
        if limit is not None and self.ledger.tokens > limit + tokens:
            self.faults.append(f"{self.ledger.tokens} tokens of {limit}: more than a step over")
        if most is not None and float(self.ledger.cost) > most + float(cost):
            self.faults.append(f"{self.ledger.cost} USD of {most}: more than a step over")


def _drawn(chance: random.Random) -> Budget:
    tokens = chance.randint(LEAST_BUDGET, MOST_BUDGET)
    return Budget(
        max_total_tokens=tokens if chance.random() < 0.7 else None,
        max_cost_usd=float(COST_OF_A_TOKEN * chance.randint(LEAST_BUDGET, MOST_BUDGET))
        if chance.random() < 0.5
        else None,
    )


def _file(budget: Budget, *, pauses: bool) -> str:
    limits = ["request_limit: 60"]
    if budget.max_total_tokens is not None:
        limits.append(f"total_tokens_limit: {budget.max_total_tokens}")
    if budget.max_cost_usd is not None:
        limits.append(f"cost_limit: {budget.max_cost_usd}")
    end = "pause" if pauses else "fail"
    return f"limits: {{{', '.join(limits)}}}\non_budget: {end}\n"
