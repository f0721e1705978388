"""Play more schedules than the tests do, and print how many there were."""

import argparse
import os
import sys
import time

from tests.conftest import AWS_ENVIRONMENT
from tests.schedules.explore import Bounds
from tests.schedules.scenarios import SCENARIOS
from tests.schedules.scene import MemoryStores, dynamo_stores


def main() -> int:
    """Explore, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of scenarios; all by default")
    parser.add_argument("--only", choices=["calls", "requests"], help="one granularity alone")
    parser.add_argument("--quick", action="store_true", help="as much as the tests do")
    parser.add_argument("--switches", type=int, help="at most so many; all by default")
    parser.add_argument("--count", type=int, help="at most so many schedules of each")
    asked = parser.parse_args()
    os.environ |= AWS_ENVIRONMENT
    is_broken = False
    with dynamo_stores() as dynamo:
        for stores in (MemoryStores(), dynamo):
            for scenario in SCENARIOS:
                bounds = scenario.bounds(stores)
                is_named = any(name in scenario.name for name in asked.names or [""])
                if bounds is None or not is_named or asked.only not in {None, stores.granularity}:
                    continue
                if not asked.quick:
                    bounds = Bounds(asked.switches, bounds.faults, asked.count)
                began = time.process_time()
                report = scenario.explore(stores, bounds)
                print(f"{report} {time.process_time() - began:.1f} s", flush=True)
                for played in report.broken.values():
                    print(f"\n{played}\n", flush=True)
                is_broken = is_broken or bool(report.broken)
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
