"""`python -m tests.endurance`: many of what tests/e2e has a few of."""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.endurance.budgets import spends_within_budgets
from tests.endurance.handovers import Times, long_run, short_lived_stack
from tests.endurance.kills import (
    ATTACH_BUDGET_S,
    QUEUE_BUDGET_S,
    KilledRun,
    killed_runs,
)
from tests.endurance.stack import endurance_stack


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.endurance")
    parser.add_argument("what", nargs="*", help="kills, handovers, budgets, or by default all")
    parser.add_argument("--runs", type=int, default=100, help="that are killed, or have budgets")
    parser.add_argument("--seed", type=int, default=1, help="of the steps and the kills")
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--hand-overs", type=int, default=10, help="of a run, at least")
    parser.add_argument("--timeout", type=int, default=20, help="of the functions that hand over")
    parser.add_argument("--keep", type=Path, help="an empty folder for logs and traces")
    options = parser.parse_args()
    campaigns = {"kills": _kills, "handovers": _handovers, "budgets": _budgets}
    if unknown := set(options.what) - set(campaigns):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(campaigns)}")
    kept = []
    for name in options.what or campaigns:
        with TemporaryDirectory() as scratch:
            began, folder = time.monotonic(), options.keep or Path(scratch)
            kept.append(campaigns[name](options, folder / name))
        load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
        took_s = time.monotonic() - began
        _say(f"{name}: {took_s:.0f} s; load averages {load} on {os.cpu_count()} cores\n")
    return 0 if all(kept) else 1


def _kills(options: argparse.Namespace, scratch: Path) -> bool:
    with endurance_stack(scratch, variables={"AGENTRUN_DEMO_DELAY_MS": "50"}) as stack:
        outcome = killed_runs(stack, runs=options.runs, seed=options.seed, at_once=options.at_once)
    for killed in outcome:
        budget_s = ATTACH_BUDGET_S if killed.plan.is_streamed else QUEUE_BUDGET_S
        late = [f"{took:.1f} s without an executor" for took in killed.take_overs_s]
        said = [*killed.faults, *(late if max(killed.take_overs_s, default=0) > budget_s else ())]
        for line in said:
            _say(f"run {killed.plan.number}, {killed.scene.run_id}: {line}")
    _say("| runs | kills | calls in doubt | next executor's first event, median | longest |")
    _say("|---|---|---|---|---|")
    streamed = [killed for killed in outcome if killed.plan.is_streamed]
    others = [killed for killed in outcome if not killed.plan.is_streamed]
    _say(_row("streamed, taken over by an attach", streamed, ATTACH_BUDGET_S))
    _say(_row("in the background, through the queue", others, QUEUE_BUDGET_S))
    _say("")
    _say("| tool's `replay` | calls with an effect | with more than one |")
    _say("|---|---|---|")
    for tool, replay in (("act_once", "never"), ("act_keyed", "idempotent"), ("look", "safe")):
        counts = [e.count for killed in outcome for e in killed.effects if e.tool == tool]
        _say(f"| `{replay}` | {len(counts)} | {sum(count > 1 for count in counts)} |")
    return all(killed.kills and not killed.faults for killed in outcome)


def _budgets(options: argparse.Namespace, scratch: Path) -> bool:
    del scratch
    return spends_within_budgets(runs=options.runs, seed=options.seed)


def _row(name: str, runs: Sequence[KilledRun], budget_s: float) -> str:
    took_s = [took for killed in runs for took in killed.take_overs_s]
    kills = sum(len(killed.kills) for killed in runs)
    doubts = sum(killed.scene.doubts for killed in runs)
    waits = f"{statistics.median(took_s):.1f} s | {max(took_s):.1f} s" if took_s else "- | -"
    return f"| {len(runs)} {name} | {kills} | {doubts} | {waits} (budget {budget_s} s) |"


def _handovers(options: argparse.Namespace, scratch: Path) -> bool:
    times = Times(options.timeout)
    with short_lived_stack(scratch, timeout_s=options.timeout) as (stack, model):
        in_time = long_run(stack, model, times.in_time(options.hand_overs))
        anew = long_run(stack, model, times.made_again(options.hand_overs // 2))
    runs = {"that end in time": in_time, "half of which do not": anew}
    for name, run in runs.items():
        for fault in run.faults:
            _say(f"answers {name}: {fault}")
    _say("| answers | run lasted | hand-overs | voided | asked twice | events | gaps, duplicates |")
    _say("|---|---|---|---|---|---|---|")
    for name, run in runs.items():
        _say(
            f"| {name} | {run.lasted_s:.0f} s | {run.hand_overs} | {run.resets}"
            f" | {run.asked_twice} | {len(run.frames)} | {run.irregular_ids} |"
        )
    are_enough = all(run.hand_overs >= options.hand_overs for run in runs.values())
    return are_enough and not (in_time.resets or in_time.faults or anew.faults)


if __name__ == "__main__":
    sys.exit(main())
