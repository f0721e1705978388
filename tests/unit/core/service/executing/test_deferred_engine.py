"""An engine that is loaded when it is first needed, and once."""

import asyncio
from typing import Any

import pytest

from agentrun.domain.agents import Agent
from agentrun.domain.events import ContentDelta
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import TurnEnding
from agentrun.service.executing import deferred_engine
from agentrun.service.executing.deferred_engine import (
    SET_UP_AT_ONCE,
    DeferredEngine,
    LoadedEngine,
)
from tests.fakes.engine_outputs import outputs_of
from tests.fakes.scripted_engine import ScriptedEngine

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
    outputs = outputs_of(engine, TASK)
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


async def test_an_engine_that_was_loaded_before_the_first_run_is_not_loaded_again() -> None:
    loading = Loading()
    engine = DeferredEngine(loading)
    engine.load()
    assert loading.times == 1
    engine.prepare()
    await engine.ready()
    assert await answer(engine) == ["a"]
    assert loading.times == 1


class Counting(ScriptedEngine):
    """An engine that counts the runs that have begun."""

    runs = 0

    async def run(self, *task: Any, **how: Any) -> TurnEnding:
        self.runs += 1
        return await super().run(*task, **how)


async def test_of_many_runs_a_few_begin_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred_engine, "SET_UP_S", 3600)
    counting = Counting([ContentDelta(text="a")])
    engine = DeferredEngine(lambda: counting)
    await engine.ready()
    running = [asyncio.create_task(answer(engine)) for _ in range(10)]
    first, waiting = running[:SET_UP_AT_ONCE], running[SET_UP_AT_ONCE:]
    assert await asyncio.gather(*first) == [["a"]] * len(first)
    assert counting.runs == len(first)
    for run in waiting:
        run.cancel()


async def test_every_run_is_set_up_in_the_end() -> None:
    counting = Counting([ContentDelta(text="a")])
    engine = DeferredEngine(lambda: counting)
    await engine.ready()
    assert await asyncio.gather(*(answer(engine) for _ in range(10))) == [["a"]] * 10
    assert counting.runs == 10
