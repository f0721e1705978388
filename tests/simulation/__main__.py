"""`python -m tests.simulation`: play many examples, one by its seed, or a storm of runs."""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.simulation.example import Example
from tests.simulation.storage import Memory, Storage, Table
from tests.simulation.storm import Storm
from tests.tables import client_of, dynamodb_server


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    with ExitStack() as stack:
        return _main(stack)


def _main(stack: ExitStack) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=None)
    parser.add_argument("--trace", type=int, default=0)
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--background", type=int, default=0, metavar="RUNS")
    parser.add_argument("--store", choices=["memory", "table", "moto"], default="memory")
    args = parser.parse_args()
    logging.disable()
    storage: Callable[..., Storage] = Memory
    if args.store == "moto":
        folder = Path(stack.enter_context(TemporaryDirectory()))
        client = client_of(stack.enter_context(dynamodb_server(folder)))
        stack.callback(client.close)
        storage = partial(Table, client)
    if args.store == "table":
        storage = partial(Table, None)
    if args.background:
        return _storm(args.seed, args.background, storage)
    began, seed = time.monotonic(), args.seed
    totals: Counter[str] = Counter()
    broken: dict[str, list[int]] = {}
    faults: Counter[str] = Counter()
    first = seed
    while time.monotonic() - began < args.minutes * 60:
        if args.examples is not None and seed - first >= args.examples:
            break
        report = Example(seed, storage).play()
        totals.update(steps=report.steps, calls=report.store_calls, virtual=int(report.virtual_s))
        faults.update(report.faults)
        for name, detail in report.broken[:1]:
            broken.setdefault(name, []).append(seed)
            _say(f"seed {seed}: {name}: {detail}")
            for line in report.trace[-args.trace :] if args.trace else []:
                _say(line)
        if report.broken and not args.go_on:
            break
        seed += 1
    took_s = time.monotonic() - began
    _say(f"{seed - first} examples, {dict(totals)}, {took_s:.1f} s")
    _say(dict(faults))
    for name, seeds in broken.items():
        _say(f"{name}: {len(seeds)} times, seeds {seeds[:10]}")
    return 1 if broken else 0


def _storm(seed: int, runs: int, storage: Callable[..., Storage]) -> int:
    """Print what comes of so many background runs while workers die and the store is away."""
    began = time.monotonic()
    report = Storm(seed, runs, storage).play()
    _say(report)
    _say(f"{time.monotonic() - began:.1f} s")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
