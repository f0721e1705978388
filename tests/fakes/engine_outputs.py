"""From an engine that tells its host what happens to a generator of that, and back."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from agentrun.domain.events import EngineEvent, Metrics
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.steps import Step, StepContent
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused


@dataclass(frozen=True)
class Voided:
    """What the model has said since the last step is taken back."""


EngineOutput = EngineEvent | TurnEnding | Voided


def let_begin() -> None:
    """Let every tool begin; a `before_tool` where that is not the point."""


async def let_be_kept(_: StepContent) -> None:
    """Let every step be kept."""


class FakeHost:
    """
    The port `TurnHost`: hands events on, keeps steps in `kept`, and lets everything happen.

    `voided` counts the answers that were taken back, `asked` the questions whether a model may be
    asked, which `may_ask` answers or refuses by an error. `keeping` may refuse a step in the same
    way: it is not kept then, and its event is not told. `steps` is what an execution would have
    stored, after the steps and the figures that there were before.
    """

    def __init__(
        self,
        say: Callable[[EngineEvent], None] = lambda _: None,
        before_tool: Callable[[], None] = let_begin,
        may_ask: Callable[[], bool] = lambda: True,
        *,
        keeping: Callable[[StepContent], Awaitable[None]] = let_be_kept,
        on_void: Callable[[], None] = lambda: None,
        before: Sequence[Step] = (),
    ) -> None:
        self._say = say
        self._before_tool = before_tool
        self._may_ask = may_ask
        self._keeping = keeping
        self._on_void = on_void
        self.kept: list[StepContent] = []
        self.steps = list(before)
        self.voided = 0
        self.asked = 0
        self._before = before[-1].metrics if before else Metrics()
        self._figures = self._before

    def say(self, event: EngineEvent) -> None:
        if isinstance(event, Metrics):
            self._figures = event.added_to(self._before)
        self._say(event)

    def void_answer(self) -> None:
        self.voided += 1
        self._on_void()

    async def keep(self, content: StepContent, *, say: EngineEvent | None = None) -> None:
        await self._keeping(content)
        self.kept.append(content)
        number = len(self.steps) + 1
        step = Step(number=number, event_id=number, metrics=self._figures, content=content)
        self.steps.append(step)
        if say is not None:
            self._say(say)

    async def before_model(self) -> bool:
        self.asked += 1
        return self._may_ask()

    def before_tool(self) -> None:
        self._before_tool()


async def outputs_of(
    engine: AgentEngine, task: AgentTask, *, before_tool: Callable[[], None] = let_begin
) -> AsyncGenerator[EngineOutput, None]:
    """Yield what a run says as it says it, and how it ends; closing the generator cancels it."""
    said: asyncio.Queue[EngineEvent | Voided | None] = asyncio.Queue()
    host = FakeHost(said.put_nowait, before_tool, on_void=lambda: said.put_nowait(Voided()))
    run = asyncio.ensure_future(engine.run(task, host))
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
            elif isinstance(output, Voided):
                raise TypeError("only an engine with a host takes answers back")
            else:
                say(output)
    return ending
