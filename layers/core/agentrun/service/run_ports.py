"""The ports that starting, executing and reading runs share."""

from concurrent.futures import Executor
from dataclasses import dataclass

from agentrun.domain.ports import Clock, EventLog, RunStore


@dataclass(frozen=True)
class RunPorts:
    """Where runs are kept, the threads in which that may block, and the time."""

    store: RunStore
    log: EventLog
    threads: Executor
    clock: Clock
