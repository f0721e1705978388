"""
What runs spend that have random budgets.

Each run is executed by the real engine and the real services, on stores in memory or on DynamoDB by
moto, with a model whose answers have known prices. Its executors are killed or have to hand over in
the midst of answers, answers break off, runs pause for approvals and for larger budgets.
"""

import asyncio
import logging
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from agentrun.domain.errors import TooManyRunsError
from agentrun.domain.quotas import RunLimits
from tests.endurance.budget_model import Plan
from tests.endurance.budget_rig import empty_rig
from tests.endurance.budget_runs import BudgetRun, Spent, plan_of, plan_without_losses

AT_ONCE = 20
DAILY_TOKENS = 30_000


async def play(plans: Sequence[Plan], *, store: str = "memory") -> list[Spent]:
    """Play runs, one after the other, each with budgets and a store of its own."""
    spent = []
    for plan in plans:
        with TemporaryDirectory() as folder, empty_rig(store) as rig:
            spent.append(await BudgetRun(plan, Path(folder), rig).play())
    return spent


async def play_a_day(seed: int, *, limit: int, store: str = "memory") -> tuple[list[Spent], bool]:
    """
    Play runs of one tenant at once, whose tokens of a day are limited; they have no other budget.

    Returns:
        What each has spent, and whether another start is refused afterwards.
    """
    limits = RunLimits(runs_per_user=0, runs_per_tenant=0, tokens_per_day_per_tenant=limit)
    with TemporaryDirectory() as folder, empty_rig(store, limits) as rig:
        plans = [plan_without_losses(seed, number) for number in range(AT_ONCE)]
        runs = [BudgetRun(plan, Path(folder), rig, has_budget=False) for plan in plans]
        spent = await asyncio.gather(*(run.play() for run in runs))
        try:
            await runs[0].begin()
        except TooManyRunsError:
            return spent, True
        return spent, False


def spends_within_budgets(*, runs: int, seed: int) -> bool:
    """Play so many runs, and print what they have spent; return whether every budget was kept."""
    logging.disable(logging.ERROR)
    try:
        spent = asyncio.run(play([plan_of(seed, number) for number in range(runs)]))
        day, is_refused = asyncio.run(play_a_day(seed, limit=DAILY_TOKENS))
    finally:
        logging.disable(logging.NOTSET)
    _print_runs(spent)
    _print_day(day, is_refused=is_refused)
    return is_refused and not any(one.faults for one in (*spent, *day))


def _print_runs(spent: Sequence[Spent]) -> None:
    over = [one.share_over for one in spent if one.share_over is not None]
    lost = [one for one in spent if one.lost]
    steps_lost = max((one.most_lost for one in lost), default=0)
    print(f"{len(spent)} runs: {_ends(spent)}")
    print(
        f"answers asked for: {sum(len(one.ledger.entries) for one in spent)}, of them broken off"
        f" {sum(one.broken for one in spent)}; executors killed or handed over:"
        f" {sum(one.stops for one in spent)}; pauses for a budget: {sum(o.pauses for o in spent)}"
    )
    print(
        f"over their budget: {len(over)} runs, by {statistics.median(over or [0]):.2f} of a step"
        f" at the median, {max(over, default=0):.2f} at most"
    )
    print(
        f"runs that lost answers with a killed executor, which nobody can count: {len(lost)},"
        f" {steps_lost} answers a run at most"
    )
    _print_faults(spent)


def _print_day(spent: Sequence[Spent], *, is_refused: bool) -> None:
    tokens = sum(one.ledger.tokens for one in spent)
    print(f"a day of {DAILY_TOKENS:,} tokens, {AT_ONCE} runs at once: {_ends(spent)}")
    print(
        f"spent {tokens:,}, that is {tokens - DAILY_TOKENS:,} over; a step of each run is"
        f" {sum(one.ledger.largest[0] for one in spent):,} at most;"
        f" the next start is {'refused' if is_refused else 'NOT REFUSED'}"
    )
    _print_faults(spent)


def _ends(spent: Sequence[Spent]) -> str:
    ends = Counter(one.run.error_type or one.run.status.value for one in spent)
    return ", ".join(f"{count} {end}" for end, count in ends.most_common())


def _print_faults(spent: Sequence[Spent]) -> None:
    for one in spent:
        for fault in one.faults:
            print(f"run {one.number}: {fault}")
