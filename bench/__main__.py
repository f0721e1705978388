"""`python -m bench [NAME …]`: measure everything, or what is named, and print a table."""

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence

from bench.lab import Lab, open_lab
from bench.measurements import (
    batch,
    bedrock,
    capacity,
    clients,
    cold_functions,
    cold_start,
    concurrency,
    counts,
    door,
    latency,
    polls,
    slow_store,
    starts,
    throughput,
)
from bench.table import Row, print_table

MEASUREMENTS: dict[str, Callable[[Lab], Awaitable[list[Row]]]] = {
    "counts": counts.measure,
    "throughput": throughput.measure,
    "bedrock": bedrock.measure,
    "start": starts.measure,
    "burst": starts.measure_burst,
    "latency": latency.measure,
    "concurrency": concurrency.measure,
    "cold_start": cold_start.measure,
    "cold_functions": cold_functions.measure,
    "polls": polls.measure,
    "batch": batch.measure,
    "door": door.measure,
    "slow_store": slow_store.measure,
    "capacity": capacity.measure,
    "clients": clients.measure,
}


async def run(names: Sequence[str], *, update: bool) -> tuple[list[Row], str]:
    """Run the named measurements one after the other; return Python's version with their lines."""
    rows: list[Row] = []
    async with open_lab() as lab:
        if update:
            await counts.update(lab)
        for name in names:
            started = time.monotonic()
            print(f"{name} ...", end=" ", flush=True)
            rows += await MEASUREMENTS[name](lab)
            print(f"{time.monotonic() - started:.0f} s", flush=True)
        return rows, lab.interpreter.version


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument(
        "--update", action="store_true", help="store the counts of now as the baseline first"
    )
    arguments = parser.parse_args()
    names = arguments.names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}")
    # A collection in this process would look like a delay in the one that is measured.
    gc.disable()
    rows, python_version = asyncio.run(run(names, update=arguments.update))
    print()
    print_table(rows, python_version)


if __name__ == "__main__":
    main()
