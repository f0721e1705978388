"""`python -m tests.endurance kills` or `handovers`: the whole of what tests/e2e tries in small."""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

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


def _row(name: str, runs: Sequence[KilledRun], budget_s: float) -> str:
    took_s = [took for killed in runs for took in killed.take_overs_s]
    kills = sum(len(killed.kills) for killed in runs)
    doubts = sum(killed.scene.doubts for killed in runs)
    waits = f"{statistics.median(took_s):.1f} s | {max(took_s):.1f} s" if took_s else "- | -"
    return f"| {len(runs)} {name} | {kills} | {doubts} | {waits} of {budget_s} s |"


if __name__ == "__main__":
    sys.exit(main())
