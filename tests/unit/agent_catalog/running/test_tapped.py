"""What a run says while its model is still speaking."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

from agent_catalog.running.tapped import TappedModel
from agentrun.domain.errors import EngineError
from agentrun.domain.events import ContentDelta, EngineEvent, Metrics
from tests.fakes.engine_outputs import FakeHost
from tests.unit.agent_catalog.conftest import RigFor

pytestmark = pytest.mark.anyio

WORDS = 200


async def speaking(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
    for number in range(WORDS):
        yield f"{number} "


async def breaking_off(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
    yield "one two three "
    raise EngineError("broken", error_type="MODEL_ERROR")


def said(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, ContentDelta)]


async def test_each_fragment_is_said_as_the_model_says_it(rig_for: RigFor) -> None:
    assert said(await rig_for(speaking).run()) == [f"{number} " for number in range(WORDS)]


async def test_a_limit_of_tokens_ends_an_answer_in_its_midst(rig_for: RigFor) -> None:
    rig = rig_for(speaking, "limits: {output_tokens_limit: 20}")
    events = await rig.run()
    assert rig.error is not None
    assert rig.error.error_type == "USAGE_LIMIT"
    assert 0 < len(said(events)) < WORDS / 2


async def test_an_answer_that_breaks_off_is_counted(rig_for: RigFor) -> None:
    events = await rig_for(breaking_off).run()
    assert said(events) == ["one two three "]
    figures = events[-1]
    assert isinstance(figures, Metrics)
    assert figures.llm_calls == 1
    assert figures.output_tokens
    assert figures.output_tokens > 0


async def test_what_an_answer_has_used_is_said_before_it_is_cancelled(rig_for: RigFor) -> None:
    reached, heard = asyncio.Event(), list[EngineEvent]()

    async def waiting(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
        yield "one two three "
        reached.set()
        await asyncio.Event().wait()

    rig = rig_for(waiting)
    running = asyncio.create_task(rig.engine.run(rig.task("go"), FakeHost(heard.append)))
    await asyncio.wait_for(reached.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    figures = heard[-1]
    assert isinstance(figures, Metrics)
    assert (figures.llm_calls, bool(figures.output_tokens)) == (1, True)


async def test_what_the_listener_raises_ends_the_run(rig_for: RigFor) -> None:
    rig = rig_for(speaking)
    heard: list[EngineEvent] = []

    def say(event: EngineEvent) -> None:
        heard.append(event)
        if len(said(heard)) == 3:
            raise EngineError("enough", error_type="OUTPUT_TOO_LARGE")

    with pytest.raises(EngineError, match="enough"):
        await rig.engine.run(rig.task("go"), FakeHost(say))
    assert len(said(heard)) == 3


class Rush:
    """A streamed answer whose events are all there already."""

    usage = RequestUsage()

    async def __aiter__(self) -> AsyncIterator[Any]:
        yield PartStartEvent(index=0, part=TextPart(""))
        for number in range(WORDS):
            yield PartDeltaEvent(index=0, delta=TextPartDelta(f"{number} "))

    def get(self) -> ModelResponse:
        return ModelResponse(parts=[TextPart("all")])


class RushingModel(TestModel):
    """A model that never waits."""

    @asynccontextmanager
    async def request_stream(self, *_: Any, **__: Any) -> AsyncGenerator[Any]:
        yield Rush()


async def test_a_stream_that_never_waits_lets_others_run() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    heard: list[EngineEvent] = []
    usage, limits = RunUsage(), UsageLimits()
    model = TappedModel(
        RushingModel(), FakeHost(heard.append), usage=usage, limits=limits, earlier_ids=lambda: ()
    )
    ticking = asyncio.create_task(tick())
    await model.request([], None, ModelRequestParameters())
    ticking.cancel()
    assert len(heard) == WORDS
    assert ticks >= WORDS // 32
