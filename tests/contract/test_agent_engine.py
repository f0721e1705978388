"""What every `AgentEngine` has to keep."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from agent_catalog import load_catalog
from agent_catalog.demo_model import demo_model
from agent_catalog.engine import PydanticAiEngine
from agentrun.domain.agents import Agent
from agentrun.domain.errors import EngineError
from agentrun.domain.events import ContentDelta, EngineEvent, Metrics, ReasoningDelta
from agentrun.domain.ports import AgentEngine, AgentTask
from tests.fakes.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio

METRICS = Metrics(total_tokens=7, model="demo")


@dataclass
class Case:
    """An engine, and the agent and the message that make it do what a test is about."""

    engine: AgentEngine
    agent: Agent
    message: str = "Two  words\r\n"

    def run(self) -> AsyncGenerator[EngineEvent, None]:
        return self.engine.run(
            AgentTask(
                run_id="run-1",
                session_id="session-1",
                tenant="acme",
                user_id="ana",
                agent=self.agent,
                message=self.message,
            )
        )


ECHO = load_catalog("demo").agent("echo")


def pydantic_ai_case(message: str) -> Case:
    engine = PydanticAiEngine(load_catalog("demo"), lambda _: demo_model(delay_s=0))
    return Case(engine, ECHO, message)


def scripted_case(*script: EngineEvent | EngineError | asyncio.Event) -> Case:
    return Case(ScriptedEngine(script), ECHO)


@pytest.fixture(params=["scripted", "pydantic_ai"])
def answering(request: pytest.FixtureRequest) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("Two  words\r\n")
    return scripted_case(ContentDelta(text="Two  "), ContentDelta(text="words\r\n"), METRICS)


@pytest.fixture(params=["scripted", "pydantic_ai"])
def thinking(request: pytest.FixtureRequest) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("/think Hm, well")
    return scripted_case(ReasoningDelta(text="Hm, well"), ContentDelta(text="Hm, well"), METRICS)


@pytest.fixture(params=["scripted", "pydantic_ai"])
def failing(request: pytest.FixtureRequest) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("/fail")
    error = EngineError("The model has failed.", error_type="MODEL_ERROR")
    return scripted_case(ContentDelta(text="This "), METRICS, error)


@pytest.fixture(params=["scripted", "pydantic_ai"])
def endless(request: pytest.FixtureRequest) -> Case:
    """Answers with one delta, and then nothing more for a minute."""
    if request.param == "pydantic_ai":
        return pydantic_ai_case("/emit 2 every 60000")
    return scripted_case(ContentDelta(text="1 "), asyncio.Event(), METRICS)


async def test_the_deltas_joined_are_the_answer(answering: Case) -> None:
    events = [event async for event in answering.run()]
    texts = [event.text for event in events if isinstance(event, ContentDelta)]
    assert "".join(texts) == "Two  words\r\n"
    assert all(texts)


async def test_metrics_come_once_and_last(answering: Case) -> None:
    events = [event async for event in answering.run()]
    assert [event for event in events if isinstance(event, Metrics)] == events[-1:]


async def test_reasoning_comes_before_the_answer(thinking: Case) -> None:
    events = [event async for event in thinking.run()]
    reasoning = [event for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(event.text for event in reasoning) == "Hm, well"
    assert events[: len(reasoning)] == reasoning


async def test_a_failure_is_raised_after_what_was_said_and_the_metrics(failing: Case) -> None:
    events: list[EngineEvent] = []

    async def read() -> None:
        async for event in failing.run():
            events.append(event)  # noqa: PERF401 - what came before the error is to be kept

    with pytest.raises(EngineError) as caught:
        await read()
    assert isinstance(events[0], ContentDelta)
    assert isinstance(events[-1], Metrics)
    assert caught.value.error_type == "MODEL_ERROR"


async def test_runs_do_not_disturb_each_other(answering: Case) -> None:
    async def text() -> str:
        events = [event async for event in answering.run()]
        return "".join(event.text for event in events if isinstance(event, ContentDelta))

    assert await asyncio.gather(*(text() for _ in range(5))) == ["Two  words\r\n"] * 5


async def test_closing_the_generator_ends_the_run_at_once(endless: Case) -> None:
    run = endless.run()
    assert isinstance(await anext(run), ContentDelta)
    async with asyncio.timeout(3):
        await run.aclose()
    assert [event async for event in run] == []


async def test_cancelling_the_reader_ends_the_run_and_is_not_swallowed(endless: Case) -> None:
    seen = asyncio.Event()

    async def read() -> None:
        async for _ in endless.run():
            seen.set()

    reader = asyncio.create_task(read())
    await seen.wait()
    reader.cancel()
    async with asyncio.timeout(3):
        with pytest.raises(asyncio.CancelledError):
            await reader
    assert reader.cancelled()
