"""
The stream function with the stamped model, telling bytecode instructions instead of time.

Python 3.12 or newer. Each delta says how many there were until it was spoken, in all threads, and
a line on standard output how many each request took until its START was sent.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bench.inside.stamped_model import replace_demo_model, stamped_model
from functions.stream.app import app
from lambda_asgi import StreamingHandler

_Message = MutableMapping[str, Any]
# By name: mypy looks at it as Python 3.11, which has none.
_monitoring: Any = vars(sys)["monitoring"]
_COUNTER = _monitoring.PROFILER_ID
_INSTRUCTION = _monitoring.events.INSTRUCTION
_counted = [0]


def _count(_code: object, _offset: int) -> None:
    _counted[0] += 1


def _so_far() -> int:
    return _counted[0]


async def counted(
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None:
    """Serve the app, and print the count at START."""
    began = _counted[0]

    async def noting(message: _Message) -> None:
        nonlocal began
        await send(message)
        if began and b'"START"' in message.get("body", b""):
            print(f"START after {_counted[0] - began} instructions", flush=True)
            began = 0

    await app(scope, receive, noting)


replace_demo_model(stamped_model(_so_far))
_monitoring.use_tool_id(_COUNTER, "bench")
_monitoring.register_callback(_COUNTER, _INSTRUCTION, _count)
_monitoring.set_events(_COUNTER, _INSTRUCTION)
handler = StreamingHandler(counted)
