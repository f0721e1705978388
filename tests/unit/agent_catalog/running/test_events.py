"""From what a model streams to the events of a run."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai.messages import (
    BinaryContent,
    BinaryImage,
    ModelMessage,
    UserPromptPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
)
from pydantic_ai.usage import RunUsage

from agent_catalog.running.events import metrics
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.media import LoadedMedia
from agentrun.domain.requests import RunOptions
from tests.unit.agent_catalog.conftest import RigFor, Watched, calling, silent

pytestmark = pytest.mark.anyio


def without_metrics(events: list[EngineEvent]) -> list[EngineEvent]:
    return [event for event in events if not isinstance(event, Metrics)]


async def test_text_and_reasoning_become_deltas_and_none_is_empty(rig_for: RigFor) -> None:
    async def stream(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
        yield {0: DeltaThinkingPart(content="Hm")}
        yield {0: DeltaThinkingPart(content="", signature="signed")}
        yield {0: DeltaThinkingPart(content=", well")}
        for text in ("", " He", "", "llo\r\n"):
            yield text

    assert without_metrics(await rig_for(stream).run()) == [
        ReasoningDelta(text="Hm"),
        ReasoningDelta(text=", well"),
        ContentDelta(text=" He"),
        ContentDelta(text="llo\r\n"),
    ]


async def test_a_tool_call_has_a_start_and_an_end_in_json(rig_for: RigFor) -> None:
    events = await rig_for(calling(("add", {"left": 2, "right": 3}))).run()
    assert without_metrics(events) == [
        ToolStart(id="call-0", name="add", arguments={"left": 2, "right": 3}),
        ToolEnd(id="call-0", name="add", result=5),
        ContentDelta(text="done"),
    ]


async def test_a_result_of_any_type_is_json(rig_for: RigFor) -> None:
    events = await rig_for(calling(("locate", {"name": "abc"}))).run()
    assert events[2] == ToolEnd(id="call-0", name="locate", result=[{"x": 3, "y": "Infinity"}])


async def test_calls_in_parallel_each_have_one_start_and_one_end(rig_for: RigFor) -> None:
    calls = [("add", {"left": n, "right": n}) for n in range(5)]
    events = await rig_for(calling(*calls)).run()
    starts = [event.id for event in events if isinstance(event, ToolStart)]
    results = {event.id: event.result for event in events if isinstance(event, ToolEnd)}
    assert starts == [f"call-{n}" for n in range(5)]
    assert results == {f"call-{n}": 2 * n for n in range(5)}


async def test_a_tool_is_given_the_session_and_the_model_does_not_see_it(rig_for: RigFor) -> None:
    model = Watched(calling(("whose", {})))
    events = await rig_for(model).run()
    assert events[2] == ToolEnd(id="call-0", name="whose", result="hello acme/ana/session-1")
    (tool,) = (tool for tool in model.infos[0].function_tools if tool.name == "whose")
    assert list(tool.parameters_json_schema["properties"]) == ["greeting"]


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("refuse", {"reason": "not today"}, "No: not today."),
        ("crash", {}, "The tool has failed."),
        ("count_far", {}, "The tool has failed."),
        ("add", {"left": 1}, "right: Field required"),
    ],
)
async def test_a_failing_tool_is_an_event_and_the_run_goes_on(
    rig_for: RigFor, name: str, arguments: Any, error: str
) -> None:
    rig = rig_for(calling((name, arguments)))
    events = without_metrics(await rig.run())
    assert events[1:] == [
        ToolError(id="call-0", name=name, error=error),
        ContentDelta(text="done"),
    ]
    assert rig.error is None


@pytest.mark.parametrize(("name", "arguments"), [("nothing", {}), ("add", "{not json")])
async def test_a_call_that_makes_no_sense_is_a_tool_error(
    rig_for: RigFor, name: str, arguments: Any
) -> None:
    events = without_metrics(await rig_for(calling((name, arguments))).run())
    assert [type(event) for event in events] == [ToolStart, ToolError, ContentDelta]


async def test_the_model_sees_what_a_tool_refused(rig_for: RigFor) -> None:
    model = Watched(calling(("refuse", {"reason": "no"})))
    await rig_for(model).run()
    assert [part.content for part in model.returns().values()] == ["No: no."]


async def test_an_unexpected_exception_is_seen_in_the_log_only(
    rig_for: RigFor, caplog: pytest.LogCaptureFixture
) -> None:
    events = await rig_for(calling(("crash", {}))).run()
    assert "hunter2" in caplog.text
    assert not any("hunter2" in event.model_dump_json() for event in events)


async def test_options_and_instructions_reach_the_model(rig_for: RigFor) -> None:
    model = Watched(silent)
    rig = rig_for(model)
    await rig.run()
    await rig.run(options=RunOptions(temperature=0.5, max_tokens=9, system_prompt="Be {{kind}}."))
    without, given = model.infos
    assert (without.instructions, without.model_settings or {}) == ("Be {{terse}}.", {})
    assert given.instructions == "Be {{kind}}."
    assert given.model_settings == {"temperature": 0.5, "max_tokens": 9}


async def test_media_goes_with_the_message(rig_for: RigFor) -> None:
    model = Watched(silent)
    media = (
        LoadedMedia(type="image/png", data=b"hi"),
        LoadedMedia(type="application/pdf", data=b"ho"),
    )
    await rig_for(model).run("look", media=media)
    (part,) = model.seen[0][0].parts
    assert isinstance(part, UserPromptPart)
    assert part.content == [
        "look",
        BinaryImage(b"hi", media_type="image/png"),
        BinaryContent(b"ho", media_type="application/pdf"),
    ]


async def test_metrics_count_every_call_of_the_model(rig_for: RigFor) -> None:
    events = await rig_for(calling(("add", {"left": 2, "right": 3}))).run()
    first, *_, figures = (event for event in events if isinstance(event, Metrics))
    assert first.llm_calls == 1
    assert figures is events[-1]
    assert (figures.llm_calls, figures.model, figures.cost_usd) == (2, "demo", None)
    assert figures.input_tokens
    assert figures.output_tokens
    assert figures.total_tokens == figures.input_tokens + figures.output_tokens
    assert figures.duration_ms is None


def test_a_figure_that_the_provider_did_not_report_is_absent() -> None:
    usage = RunUsage(requests=1, input_tokens=3, unmeasured_requests=1)
    assert metrics(usage, "demo") == Metrics(llm_calls=1, model="demo")
    assert metrics(RunUsage(), "demo") == Metrics(model="demo")


def test_cost_and_reasoning_are_reported_where_they_are_known() -> None:
    usage = RunUsage(
        requests=1,
        input_tokens=3,
        output_tokens=4,
        output_reasoning_tokens=2,
        cost=Decimal("0.0125"),
    )
    assert metrics(usage, "m") == Metrics(
        input_tokens=3,
        output_tokens=4,
        reasoning_tokens=2,
        total_tokens=7,
        llm_calls=1,
        model="m",
        cost_usd=0.0125,
    )
