"""`python -m bench [NAME …]`: measure everything, or what is named, and print a table."""

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence

from bench import batch, capacity, cold_start, concurrency, latency, slow_store, throughput
from bench.lab import Lab, open_lab
from bench.table import Row, print_table

MEASUREMENTS: dict[str, Callable[[Lab], Awaitable[list[Row]]]] = {
    "cold_start": cold_start.measure,
    "latency": latency.measure,
    "throughput": throughput.measure,
    "concurrency": concurrency.measure,
    "slow_store": slow_store.measure,
    "capacity": capacity.measure,
    "batch": batch.measure,
}


async def run(names: Sequence[str]) -> list[Row]:
    """Run the named measurements one after the other, against one store."""
    rows: list[Row] = []
    async with open_lab() as lab:
        for name in names:
            started = time.monotonic()
            print(f"{name} ...", end=" ", flush=True)
            rows += await MEASUREMENTS[name](lab)
            print(f"{time.monotonic() - started:.0f} s", flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    names = parser.parse_args().names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}")
    # A collection in this process would look like a delay in the one that is measured.
    gc.disable()
    rows = asyncio.run(run(names))
    print()
    print_table(rows)


if __name__ == "__main__":
    main()
