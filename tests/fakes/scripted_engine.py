"""An engine that plays a script."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from agentrun.domain.errors import EngineError
from agentrun.domain.events import EngineEvent, PauseType, PendingApproval, ToolStart
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.steps import Answered, Began, Returned, Step
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from tests.fakes.engine_outputs import EngineOutput, Voided


@dataclass(frozen=True)
class Keep:
    """The engine keeps a step here, and lets the host tell of it."""

    content: Answered | Returned
    say: EngineEvent | None = None


@dataclass(frozen=True)
class Ask:
    """The engine asks its host whether it may ask a model; if not, the turn pauses."""


Item = EngineOutput | Keep | Ask | EngineError | asyncio.Event | Callable[[], Awaitable[None]]


class ScriptedEngine:
    """
    The port `AgentEngine`: each run plays the script, item by item.

    It says events, keeps steps, takes answers back, asks its host, waits until an `asyncio.Event`
    is set, awaits async functions and raises `EngineError`s. A script without `TurnEnded` or
    `TurnPaused` ends with a plain `TurnEnded`. A resumed turn plays `resumed`, or the script again.

    A turn with steps goes on behind the last `Keep` of the script that it has the step of; tools
    that had begun by then and have no result begin again. It is in doubt if they are `acting`; if
    they are so by the script alone, that is kept first.

    A call's tool begins, if it may, right before its `ToolStart`. `begun` are the ids of the calls
    whose tools began, `tasks` the tasks of the engine. `closed` counts the runs that have ended in
    any way, `cancelled` those that were cancelled before their script's end.
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
        self.tasks.append(task)
        try:
            script = self._script if task.resumption is None else self._resumed
            done, left = _split(script, task.steps)
            if pending := tuple(_in_doubt(script, task.steps)):
                return TurnPaused(type=PauseType.TOOL_IN_DOUBT, pending=pending, state="{}")
            if acting := tuple(_acts_now(done)):
                await host.keep(Began(acting=tuple(acting)))
            for item in (*_unfinished(done), *left):
                ending = await self._play(item, task, host)
                if ending is not None:
                    return ending
            raise AssertionError("a script has its end")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.closed += 1

    async def _play(self, item: Item, task: AgentTask, host: TurnHost) -> TurnEnding | None:
        if isinstance(item, TurnEnded | TurnPaused):
            return item
        if isinstance(item, Ask):
            may_ask = await host.before_model()
            return None if may_ask else TurnPaused(type=PauseType.BUDGET, state="{}")
        if isinstance(item, Keep):
            await host.keep(item.content, say=item.say)
        elif isinstance(item, Voided):
            host.void_answer()
        elif isinstance(item, ToolStart):
            host.before_tool()
            self.begun.append(item.id)
            if item.id not in task.started:
                host.say(item)
        elif isinstance(item, EngineError):
            raise item
        elif isinstance(item, asyncio.Event) or callable(item):
            await (item.wait() if isinstance(item, asyncio.Event) else item())
        else:
            host.say(item)
        return None


def _with_its_end(script: Sequence[Item]) -> tuple[Item, ...]:
    ends = any(isinstance(item, TurnEnded | TurnPaused) for item in script)
    return tuple(script) if ends else (*script, TurnEnded())


def _split(script: Sequence[Item], steps: Sequence[Step]) -> tuple[Sequence[Item], Sequence[Item]]:
    """Cut a script behind the last of these steps."""
    left = sum(isinstance(step.content, Answered | Returned) for step in steps)
    cut = 0
    for place, item in enumerate(script, start=1):
        if left and isinstance(item, Keep):
            left -= 1
            cut = place
    return script[:cut], script[cut:]


def _unfinished(done: Sequence[Item]) -> Iterator[ToolStart]:
    """Yield the starts of the tools that have no result."""
    returned = {
        item.content.call_id
        for item in done
        if isinstance(item, Keep) and isinstance(item.content, Returned)
    }
    for item in done:
        if isinstance(item, ToolStart) and item.id not in returned:
            yield item


def _acts_now(done: Sequence[Item]) -> Sequence[str]:
    """Return the ids of the calls without results that the last answer says to be acting."""
    acting: Sequence[str] = ()
    for content in (item.content for item in done if isinstance(item, Keep)):
        if isinstance(content, Answered):
            acting = content.acting
        else:
            acting = [call_id for call_id in acting if call_id != content.call_id]
    return acting


def _in_doubt(script: Sequence[Item], steps: Sequence[Step]) -> Iterator[PendingApproval]:
    acting: list[str] = []
    for content in (step.content for step in steps):
        if isinstance(content, Returned):
            acting = [call_id for call_id in acting if call_id != content.call_id]
        else:
            acting = list(content.acting)
    starts = {item.id: item for item in script if isinstance(item, ToolStart)}
    for call_id in acting:
        tool = starts[call_id]
        yield PendingApproval(
            id=call_id, tool=tool.name, tool_name=tool.name, arguments=tool.arguments
        )
