"""Blocking ports under an event loop that must not wait for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

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
