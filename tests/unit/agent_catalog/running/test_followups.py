"""Suggestions for what to ask next."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
from pydantic_ai.messages import ModelMessage, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.usage import RunUsage

from agent_catalog.running.engine import PydanticAiEngine
from agent_catalog.running.followups import Exchange, suggest_followups
from agentrun.domain.errors import EngineError
from agentrun.domain.events import Metrics
from agentrun.domain.turns import TurnEnded
from tests.fakes.engine_outputs import FakeHost
from tests.unit.agent_catalog.conftest import Rig, RigFor, calling

pytestmark = pytest.mark.anyio

THREE = ["One?", "Two?", "Three?"]


class Suggesting:
    """Answers any message, and suggests what it is told to."""

    def __init__(self, *suggestions: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self.waiting = asyncio.Event()
        self._suggestions = list(suggestions)

    async def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        if not info.output_tools:
            yield "the "
            yield "answer"
            return
        prompt = messages[0].parts[0]
        assert isinstance(prompt, UserPromptPart)
        self.asked.append(json.loads(str(prompt.content)))
        suggested = self._suggestions.pop(0)
        if isinstance(suggested, Exception):
            raise suggested
        if isinstance(suggested, asyncio.Event):
            self.waiting.set()
            await suggested.wait()
        arguments = json.dumps({"suggestions": suggested})
        yield {0: DeltaToolCall(name=info.output_tools[0].name, json_args=arguments)}


def figures(events: list[Any]) -> Metrics:
    assert isinstance(events[-1], Metrics)
    return events[-1]


async def test_they_are_not_asked_for_unless_wanted(rig_for: RigFor) -> None:
    model = Suggesting(THREE)
    rig = rig_for(model)
    assert figures(await rig.run()).llm_calls == 1
    assert rig.ended.followups is None
    assert model.asked == []


async def test_they_are_three_and_follow_what_was_said(rig_for: RigFor) -> None:
    model = Suggesting(["One?", " Two? ", "Three?"])
    rig = rig_for(model)
    await rig.run("Why?", generate_followups=True)
    assert rig.ended.followups == ("One?", "Two?", "Three?")
    (exchange,) = model.asked
    assert (exchange["question"], exchange["answer"]) == ("Why?", "the answer")
    assert "launch" in exchange["tools"]


async def test_their_cost_is_the_runs_and_they_leave_no_other_trace(
    rig_for: RigFor,
) -> None:
    rig = rig_for(Suggesting(THREE))
    without = figures(await rig.run())
    with_them = figures(await rig.run(generate_followups=True))
    assert (without.llm_calls, with_them.llm_calls) == (1, 2)
    assert (with_them.total_tokens or 0) > (without.total_tokens or 0)
    assert rig.ended.messages is None


async def test_they_are_not_asked_for_at_a_pause(rig_for: RigFor) -> None:
    rig = rig_for(calling(("launch", {})))
    assert figures(await rig.run(generate_followups=True)).llm_calls == 1
    assert rig.paused


@pytest.mark.parametrize(
    "suggested",
    [["One?"], [*THREE, "Four?"], ["One?", "", "Three?"], ["x" * 201] * 3, RuntimeError("secret")],
)
async def test_a_run_does_not_fail_by_them(rig_for: RigFor, suggested: Any) -> None:
    rig = rig_for(Suggesting(suggested, suggested))
    events = await rig.run(generate_followups=True)
    assert rig.ended.followups == ()
    assert rig.error is None
    assert isinstance(events[-1], Metrics)


async def test_they_have_a_second_try(rig_for: RigFor) -> None:
    rig = rig_for(Suggesting(["One?"], THREE))
    await rig.run(generate_followups=True)
    assert rig.ended.followups == tuple(THREE)


async def test_they_have_no_second_try_beyond_the_budget(rig_for: RigFor) -> None:
    model = Suggesting(["One?"], THREE)
    rig = rig_for(model)
    answers = iter([True, True, False])
    ending = await rig.engine.run(
        rig.task("go", generate_followups=True), FakeHost(may_ask=lambda: next(answers))
    )
    assert isinstance(ending, TurnEnded)
    assert ending.followups == ()
    assert len(model.asked) == 1


async def test_those_that_fail_are_counted_too(rig_for: RigFor) -> None:
    events = await rig_for(Suggesting(["One?"], ["One?"])).run(generate_followups=True)
    assert figures(events).llm_calls == 3


async def test_they_are_not_waited_for_without_end() -> None:
    model = FunctionModel(stream_function=Suggesting(asyncio.Event()))
    exchange = Exchange(question="Why?", answer="So.")
    async with asyncio.timeout(3):
        suggested = await suggest_followups(
            exchange,
            model=lambda: model,
            usage=RunUsage(),
            may_ask=AsyncMock(return_value=True),
            timeout_s=0.05,
        )
    assert suggested == ()


async def test_cancelling_while_they_are_made_cancels_the_run(rig_for: RigFor) -> None:
    model = Suggesting(asyncio.Event())
    rig = rig_for(model)
    before = asyncio.all_tasks()
    reading = asyncio.create_task(rig.run(generate_followups=True))
    async with asyncio.timeout(3):
        await model.waiting.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert asyncio.all_tasks() == before


def with_models(rig: Rig, **models: Model | EngineError) -> list[str]:
    """Let the rig's engine build these models, and note which it asks for."""
    built: list[str] = []

    def build(model_id: str) -> Model:
        built.append(model_id)
        model = models[model_id.partition(":")[0]]
        if isinstance(model, EngineError):
            raise model
        return model

    rig.engine = PydanticAiEngine(rig.catalog, build)
    return built


async def test_another_model_may_make_them(rig_for: RigFor) -> None:
    rig = rig_for(Suggesting(), "followup_model: cheap:m")
    built = with_models(
        rig,
        demo=FunctionModel(stream_function=Suggesting()),
        cheap=FunctionModel(stream_function=Suggesting(THREE)),
    )
    assert figures(await rig.run(generate_followups=True)).model == "demo"
    assert rig.ended.followups == tuple(THREE)
    assert built == ["demo", "cheap:m"]


async def test_a_model_for_them_that_is_not_set_up_fails_no_run(rig_for: RigFor) -> None:
    rig = rig_for(Suggesting(), "followup_model: cheap:m")
    with_models(
        rig,
        demo=FunctionModel(stream_function=Suggesting()),
        cheap=EngineError("The model 'cheap:m' is not set up here."),
    )
    await rig.run(generate_followups=True)
    assert rig.ended.followups == ()
