"""An engine that plays a script."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from agentrun.domain.errors import EngineError
from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentTask

Item = EngineEvent | EngineError | asyncio.Event


class ScriptedEngine:
    """
    The port `AgentEngine`: each run yields the events, waits at an `asyncio.Event` until it is set,
    and raises an `EngineError`.

    `tasks` are the tasks it was given, `closed` counts the runs whose generator has ended in any
    way, `cancelled` those that were cancelled or closed before their script's end.
    """

    def __init__(self, script: Sequence[Item]) -> None:
        self._script = tuple(script)
        self.tasks: list[AgentTask] = []
        self.closed = 0
        self.cancelled = 0

    async def run(self, task: AgentTask) -> AsyncGenerator[EngineEvent, None]:
        self.tasks.append(task)
        try:
            for item in self._script:
                if isinstance(item, asyncio.Event):
                    await item.wait()
                elif isinstance(item, EngineError):
                    raise item
                else:
                    yield item
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.closed += 1
