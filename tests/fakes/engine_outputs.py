"""From an engine that tells its host what happens to a generator of that, and back."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.steps import StepContent
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused

EngineOutput = EngineEvent | TurnEnding


def let_begin() -> None:
    """Let every tool begin; a `before_tool` where that is not the point."""


class FakeHost:
    """
    The port `TurnHost`: hands events on, keeps steps in `kept`, and lets everything happen.

    `voided` counts the answers that were taken back; a model may be asked while `may_ask` says so.
    """

    def __init__(
        self,
        say: Callable[[EngineEvent], None],
        before_tool: Callable[[], None] = let_begin,
        may_ask: Callable[[], bool] = lambda: True,
    ) -> None:
        self._say = say
        self._before_tool = before_tool
        self._may_ask = may_ask
        self.kept: list[StepContent] = []
        self.voided = 0

    def say(self, event: EngineEvent) -> None:
        self._say(event)

    def void_answer(self) -> None:
        self.voided += 1

    async def keep(self, content: StepContent, *, say: EngineEvent | None = None) -> None:
        self.kept.append(content)
        if say is not None:
            self._say(say)

    async def before_model(self) -> bool:
        return self._may_ask()

    def before_tool(self) -> None:
        self._before_tool()


async def outputs_of(
    engine: AgentEngine, task: AgentTask, *, before_tool: Callable[[], None] = let_begin
) -> AsyncGenerator[EngineOutput, None]:
    """Yield what a run says as it says it, and how it ends; closing the generator cancels it."""
    said: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
    run = asyncio.ensure_future(engine.run(task, FakeHost(said.put_nowait, before_tool)))
    run.add_done_callback(lambda _: said.put_nowait(None))
    try:
        while (event := await said.get()) is not None:
            yield event
        yield await run
    finally:
        run.cancel()
        await asyncio.wait({run})


async def say_all(
    outputs: AsyncGenerator[EngineOutput, None], say: Callable[[EngineEvent], None]
) -> TurnEnding:
    """Say the events that the generator yields; return how the turn ends, if it says so."""
    ending: TurnEnding = TurnEnded()
    async with aclosing(outputs):
        async for output in outputs:
            if isinstance(output, TurnEnded | TurnPaused):
                ending = output
            else:
                say(output)
    return ending
