"""An engine that is loaded when it is first needed, and once."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from agentrun.domain.agents import Agent
from agentrun.domain.events import ContentDelta
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import EngineOutput
from agentrun.service.executing import deferred_engine
from agentrun.service.executing.deferred_engine import DeferredEngine, LoadedEngine
from tests.fakes.scripted_engine import ScriptedEngine, let_begin

pytestmark = pytest.mark.anyio

TASK = AgentTask(
    run_id="r",
    session_id="s",
    tenant="t",
    user_id="u",
    agent=Agent(id="a", name="A", description="a", model="demo", models=("demo",)),
    message="m",
)


class Loading:
    """Counts how often the engine is loaded."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> LoadedEngine:
        self.times += 1
        return ScriptedEngine([ContentDelta(text="a")])


async def answer(engine: DeferredEngine) -> list[str]:
    outputs = engine.run(TASK, before_tool=let_begin)
    return [output.text async for output in outputs if isinstance(output, ContentDelta)]


async def test_what_could_not_be_loaded_is_tried_again() -> None:
    attempts: list[int] = []

    def load() -> LoadedEngine:
        attempts.append(1)
        if len(attempts) == 1:
            raise ImportError("not yet")
        return ScriptedEngine([ContentDelta(text="a")])

    engine = DeferredEngine(load)
    with pytest.raises(ImportError):
        await answer(engine)
    assert await answer(engine) == ["a"]


async def test_runs_at_the_same_time_share_one_loading() -> None:
    loading = Loading()
    engine = DeferredEngine(loading)
    assert loading.times == 0
    assert await asyncio.gather(*(answer(engine) for _ in range(5))) == [["a"]] * 5
    assert await answer(engine) == ["a"]
    assert loading.times == 1


async def test_loading_may_begin_before_it_is_needed() -> None:
    loading = Loading()
    engine = DeferredEngine(loading)
    engine.prepare()
    engine.prepare()
    assert await answer(engine) == ["a"]
    assert loading.times == 1


async def test_a_run_that_is_cancelled_leaves_the_engine_to_the_others() -> None:
    loading = Loading()
    engine = DeferredEngine(loading)
    cancelled, other = (asyncio.create_task(answer(engine)) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await other == ["a"]
    assert cancelled.cancelled()
    assert loading.times == 1


class SlowToBegin:
    """An engine whose runs begin, and then say nothing until the gate is open."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate, self.ten_have_begun = asyncio.Event(), asyncio.Event()

    async def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        self.begun += 1
        if self.begun == 10:
            self.ten_have_begun.set()
        await self.gate.wait()
        yield ContentDelta(text="a")

    def argument_faults(self, *_: object) -> list[tuple[str, str]]:
        return []


async def begun(slow: SlowToBegin, count: int) -> list[asyncio.Task[list[str]]]:
    """Begin runs on a loaded engine, and let each go as far as it can."""
    engine = DeferredEngine(lambda: slow)
    await engine.ready()
    running = [asyncio.create_task(answer(engine)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return running


async def test_of_many_runs_a_few_are_set_up_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred_engine, "LONGEST_SET_UP_S", 60)
    slow = SlowToBegin()
    running = await begun(slow, 10)
    assert slow.begun == deferred_engine.SET_UP_AT_ONCE
    # Neither one that is cancelled while it waits nor one that is being set up keeps a place.
    running.pop().cancel()
    running.pop(0).cancel()
    slow.gate.set()
    assert await asyncio.gather(*running) == [["a"]] * 8


async def test_a_run_that_waits_for_its_model_is_in_nobodys_way() -> None:
    slow = SlowToBegin()
    running = await begun(slow, 10)
    async with asyncio.timeout(10):
        await slow.ten_have_begun.wait()
    slow.gate.set()
    assert await asyncio.gather(*running) == [["a"]] * 10
