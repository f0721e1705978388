"""An engine that plays a script."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

from pydantic import JsonValue

from agentrun.domain.errors import EngineError
from agentrun.domain.events import ToolStart
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from tests.fakes.engine_outputs import EngineOutput, say_all

Item = EngineOutput | EngineError | asyncio.Event | Callable[[], Awaitable[None]]


class ScriptedEngine:
    """
    The port `AgentEngine`: each run plays the script, item by item.

    It yields outputs, waits until an `asyncio.Event` is set, awaits async functions and raises
    `EngineError`s. A script without `TurnEnded` or `TurnPaused` ends with a plain `TurnEnded`. A
    resumed turn plays `resumed`, or the script again.

    A call's tool begins, if it may, right before its `ToolStart`. `begun` are the ids of the calls
    whose tools began, `tasks` the tasks of the engine. `closed` counts the runs whose generator has
    ended in any way, `cancelled` those that were cancelled or closed before their script's end.
    """

    def __init__(self, script: Sequence[Item], *, resumed: Sequence[Item] | None = None) -> None:
        self._script = _with_its_end(script)
        self._resumed = self._script if resumed is None else _with_its_end(resumed)
        self.tasks: list[AgentTask] = []
        self.begun: list[str] = []
        self.closed = 0
        self.cancelled = 0

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        return ()

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        return await say_all(self._outputs(task, host.before_tool), host.say)

    async def _outputs(
        self, task: AgentTask, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        self.tasks.append(task)
        try:
            for item in self._script if task.resumption is None else self._resumed:
                if isinstance(item, asyncio.Event):
                    await item.wait()
                elif isinstance(item, EngineError):
                    raise item
                elif callable(item):
                    await item()
                else:
                    if isinstance(item, ToolStart):
                        before_tool()
                        self.begun.append(item.id)
                    yield item
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.closed += 1


def _with_its_end(script: Sequence[Item]) -> tuple[Item, ...]:
    ends = any(isinstance(item, TurnEnded | TurnPaused) for item in script)
    return tuple(script) if ends else (*script, TurnEnded())
