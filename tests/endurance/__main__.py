"""`python -m tests.endurance kills` or `handovers`: the whole of what tests/e2e tries in small."""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

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
    parser.add_argument("--keep", type=Path, help="an empty folder for logs and traces")
    commands = parser.add_subparsers(required=True)
    kills = commands.add_parser("kills", help="kill the executors of runs of three steps")
    kills.add_argument("--runs", type=int, default=100)
    kills.add_argument("--seed", type=int, default=1)
    kills.add_argument("--at-once", type=int, default=10)
    kills.set_defaults(command=_kills)
    handovers = commands.add_parser("handovers", help="let runs last longer than their functions")
    handovers.add_argument("--count", type=int, default=10)
    handovers.add_argument("--timeout", type=int, default=20, help="of the functions, in seconds")
    handovers.set_defaults(command=_handovers)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        began = time.monotonic()
        command: Callable[[argparse.Namespace, Path], int] = options.command
        status = command(options, options.keep or Path(scratch))
        load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
        _say(f"{time.monotonic() - began:.0f} s; load averages {load} on {os.cpu_count()} cores")
        return status


def _kills(options: argparse.Namespace, scratch: Path) -> int:
    with endurance_stack(scratch, variables={"AGENTRUN_DEMO_DELAY_MS": "50"}) as stack:
        outcome = killed_runs(stack, runs=options.runs, seed=options.seed, at_once=options.at_once)
    for killed in outcome:
        for fault in killed.faults:
            _say(f"run {killed.plan.number}, {killed.scene.run_id}: {fault}")
    _say("| runs | executors killed | in doubt | wait for the next executor, median | longest |")
    _say("|---|---|---|---|---|")
    streamed = [killed for killed in outcome if killed.plan.is_streamed]
    others = [killed for killed in outcome if not killed.plan.is_streamed]
    _say(_row("streamed, taken over by an attach", streamed, ATTACH_BUDGET_S))
    _say(_row("in the background, through the queue", others, QUEUE_BUDGET_S))
    return 1 if any(killed.faults or not killed.kills for killed in outcome) else 0


def _handovers(options: argparse.Namespace, scratch: Path) -> int:
    times = Times(options.timeout)
    with short_lived_stack(scratch, timeout_s=options.timeout) as (stack, model):
        in_time = long_run(stack, model, times.in_time(options.count))
        anew = long_run(stack, model, times.made_again(options.count // 2))
    _say("| answers | of the run | hand-overs | voided | asked twice | events | gaps, duplicates |")
    _say("|---|---|---|---|---|---|---|")
    runs = {"that end in time": in_time, "half of which do not": anew}
    for name, run in runs.items():
        for fault in run.faults:
            _say(f"{name}: {fault}")
        _say(
            f"| {name} | {run.lasted_s:.0f} s | {run.hand_overs} | {run.resets}"
            f" | {run.asked_twice} | {len(run.frames)} | {run.irregular_ids} |"
        )
    are_enough = all(run.hand_overs >= options.count for run in runs.values())
    return 0 if are_enough and not in_time.resets and not (in_time.faults or anew.faults) else 1


def _row(name: str, runs: Sequence[KilledRun], budget_s: float) -> str:
    took_s = [took for killed in runs for took in killed.take_overs_s]
    kills = sum(len(killed.kills) for killed in runs)
    doubts = sum(killed.scene.doubts for killed in runs)
    waits = f"{statistics.median(took_s):.1f} s | {max(took_s):.1f} s" if took_s else "- | -"
    return f"| {len(runs)} {name} | {kills} | {doubts} | {waits} of {budget_s} s |"


if __name__ == "__main__":
    sys.exit(main())
