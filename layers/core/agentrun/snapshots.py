"""SnapStart: what happens before a process's snapshot is taken, and in each of its copies."""

import os
import random
from collections.abc import Callable


def is_for_snapshot() -> bool:
    """Tell whether Lambda starts this process to take a snapshot of it, and serve from copies."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


def before_snapshot(*preparations: Callable[[], object]) -> None:
    """
    Call these, in this order, before the snapshot; nothing where none is taken.

    A copy may be days old when it is restored, so nothing that ages or that only one process may
    have is to be made before the snapshot: no connection, no fetched key or secret, no id. What
    cannot be avoided is renewed here: each copy would go on with the same random numbers.
    """
    if not is_for_snapshot():
        return
    # Lambda's managed runtime has it; it is in no requirement file.
    from snapshot_restore_py import (  # noqa: PLC0415
        register_after_restore,
        register_before_snapshot,
    )

    # The runtime calls the last one first.
    for preparation in reversed(preparations):
        register_before_snapshot(preparation)
    register_after_restore(random.seed)
