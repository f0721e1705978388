"""What every use case needs: where runs are kept, threads that may block, the time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from agentrun.domain.ports import Clock, EventLog, RunStore


@dataclass(frozen=True)
class RunPorts:
    """Where runs are kept, the threads in which that may block, and the time."""

    store: RunStore
    log: EventLog
    threads: Executor
    clock: Clock


P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(
    threads: Executor, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """
    Make a blocking call in one of `threads` and wait for its answer.

    A caller that is cancelled leaves the call running: a write cannot be taken back.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, lambda: call(*args, **kwargs))
