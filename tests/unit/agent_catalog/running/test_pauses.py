"""Turns that wait for decisions, and how they go on."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
    DeltaToolCall,
)

from agent_catalog.running.pauses import Spent, pause
from agentrun.domain.agents import Agent
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    PendingApproval,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.media import LoadedMedia
from agentrun.domain.turns import Resumption, TurnEnded
from tests.fakes.engine_outputs import outputs_of
from tests.unit.agent_catalog import sample_tools
from tests.unit.agent_catalog.conftest import Rig, RigFor, Watched, calling

pytestmark = pytest.mark.anyio

PNG = LoadedMedia(type="image/png", data=b"\x89PNG\r\n\x1a\n" + b"x" * 5_000)


@pytest.fixture(autouse=True)
def nothing_launched() -> None:
    sample_tools.calls.clear()


def approve(call: int, **arguments: Any) -> Decision:
    return Decision(id=f"call-{call}", action=ApprovalAction.APPROVE, arguments=arguments or None)


def reject(call: int, reason: str | None = None) -> Decision:
    return Decision(id=f"call-{call}", action=ApprovalAction.REJECT, reason=reason)


async def paused(rig: Rig, **fields: Any) -> str:
    await rig.run("go", **fields)
    return rig.paused.state


async def resumed(rig: Rig, state: str, *decisions: Decision, **fields: Any) -> list[EngineEvent]:
    return await rig.run(
        "go", resumption=Resumption(state=state, decisions=tuple(decisions)), **fields
    )


def about_tools(events: list[EngineEvent]) -> list[ToolStart | ToolEnd | ToolError]:
    return [event for event in events if isinstance(event, ToolStart | ToolEnd | ToolError)]


async def test_a_pause_says_what_waits_and_nothing_of_it_has_run(rig_for: RigFor) -> None:
    rig = rig_for(calling(("launch", {"stages": 3})))
    events = await rig.run()
    assert [type(event) for event in events] == [Metrics, Metrics]
    assert rig.paused.pending == (
        PendingApproval(id="call-0", tool="launch", tool_name="launch", arguments={"stages": 3}),
    )
    assert sample_tools.calls == []


async def test_an_approved_call_runs_once_and_the_model_sees_its_result(rig_for: RigFor) -> None:
    model = Watched(calling(("launch", {"stages": 3})))
    rig = rig_for(model)
    events = await resumed(rig, await paused(rig), approve(0))
    assert about_tools(events) == [
        ToolStart(id="call-0", name="launch", arguments={"stages": 3}),
        ToolEnd(id="call-0", name="launch", result={"stages": 3, "before": 0}),
    ]
    assert sample_tools.calls == ["launched 3"]
    assert model.returns()["call-0"].content == {"stages": 3, "before": 0}
    assert ContentDelta(text="done") in events
    assert rig.ended.messages is not None


async def test_another_process_can_go_on(rig_for: RigFor) -> None:
    state = await paused(rig_for(calling(("launch", {}))))
    other = rig_for(calling(("launch", {})))
    await resumed(other, state, approve(0))
    assert isinstance(other.ending, TurnEnded)


async def test_a_pause_that_an_earlier_version_wrote_is_read(rig_for: RigFor) -> None:
    rig = rig_for(calling(("launch", {"stages": 3})))
    state = json.loads(await paused(rig))
    assert state["version"] == 2
    first = {key: state[key] for key in ("messages", "pending", "spent")} | {"version": 1}
    events = await resumed(rig, json.dumps(first), approve(0))
    assert [event.event for event in about_tools(events)] == ["TOOL_START", "TOOL_END"]
    assert rig.ended


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("too high", "The call was rejected: too high"),
        (None, "The call was rejected: no reason was given."),
    ],
)
async def test_a_rejected_call_never_starts_and_the_model_sees_why(
    rig_for: RigFor, reason: str | None, error: str
) -> None:
    model = Watched(calling(("launch", {})))
    rig = rig_for(model)
    events = await resumed(rig, await paused(rig), reject(0, reason))
    assert about_tools(events) == [ToolError(id="call-0", name="launch", error=error)]
    assert sample_tools.calls == []
    assert model.returns()["call-0"].content == error
    assert rig.error is None


async def test_changed_arguments_are_what_runs_and_what_everybody_sees(rig_for: RigFor) -> None:
    model = Watched(calling(("launch", {"stages": 3})))
    rig = rig_for(model)
    events = await resumed(rig, await paused(rig), approve(0, stages=1))
    assert about_tools(events)[0] == ToolStart(id="call-0", name="launch", arguments={"stages": 1})
    assert sample_tools.calls == ["launched 1"]
    (call,) = (
        part
        for message in model.seen[-1]
        for part in message.parts
        if isinstance(part, ToolCallPart)
    )
    assert call.args_as_dict() == {"stages": 1}
    assert '"stages":1' in (rig.ended.messages or "")
    assert '"stages":3' not in (rig.ended.messages or "")


async def test_finished_tools_are_not_run_again_and_decisions_may_differ(rig_for: RigFor) -> None:
    model = Watched(
        calling(
            ("add", {"left": 1, "right": 1}),
            ("launch", {"stages": 1}),
            ("land", {"place": "Mars"}),
            ("refuse", {"reason": "tired"}),
            ("launch", {"stages": 2}),
        )
    )
    rig = rig_for(model)
    first = about_tools(await rig.run())
    assert sorted((event.id, event.event) for event in first) == [
        ("call-0", "TOOL_END"),
        ("call-0", "TOOL_START"),
        ("call-3", "TOOL_ERROR"),
        ("call-3", "TOOL_START"),
    ]
    assert [call.id for call in rig.paused.pending] == ["call-1", "call-2", "call-4"]
    second = about_tools(
        await resumed(rig, rig.paused.state, reject(2, "no fuel"), approve(1), approve(4, stages=5))
    )
    assert sorted((event.id, event.event) for event in second) == [
        ("call-1", "TOOL_END"),
        ("call-1", "TOOL_START"),
        ("call-2", "TOOL_ERROR"),
        ("call-4", "TOOL_END"),
        ("call-4", "TOOL_START"),
    ]
    assert sample_tools.calls == ["launched 1", "launched 5"]
    assert set(model.returns()) == {f"call-{number}" for number in range(5)}


async def test_each_approved_call_finds_done_what_the_one_before_it_did(rig_for: RigFor) -> None:
    rig = rig_for(calling(*(("launch", {"stages": number}) for number in (1, 2, 3))))
    events = await resumed(rig, await paused(rig), approve(2), approve(0), approve(1))
    assert [event.result for event in events if isinstance(event, ToolEnd)] == [
        {"stages": 1, "before": 0},
        {"stages": 2, "before": 1},
        {"stages": 3, "before": 2},
    ]


async def launching_twice(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
    """Launches, launches again when that is done, and says so."""
    done = sum(isinstance(message, ModelResponse) for message in messages)
    if done == 2:
        yield "up"
        return
    yield {0: DeltaThinkingPart(content=f"thought {done}")}
    yield {1: DeltaToolCall(name="launch", json_args="{}", tool_call_id=f"call-{done}")}


async def test_a_turn_may_pause_several_times(rig_for: RigFor) -> None:
    model = Watched(launching_twice)
    rig = rig_for(model)
    await resumed(rig, await paused(rig), approve(0))
    assert [call.id for call in rig.paused.pending] == ["call-1"]
    events = await resumed(rig, rig.paused.state, approve(1))
    assert ToolEnd(id="call-1", name="launch", result={"stages": 1, "before": 1}) in events
    assert sample_tools.calls == ["launched 1", "launched 1"]
    assert len(json.loads(rig.ended.messages or "")) == 6
    thoughts = [
        part.content
        for message in model.seen[-1]
        for part in message.parts
        if isinstance(part, ThinkingPart)
    ]
    assert thoughts == ["thought 0", "thought 1"]
    assert "thought" not in (rig.ended.messages or "")


async def test_metrics_of_a_resumed_turn_are_of_what_came_after_the_pause(
    rig_for: RigFor,
) -> None:
    rig = rig_for(launching_twice)
    before = (await rig.run())[-1]
    after = (await resumed(rig, rig.paused.state, approve(0)))[-1]
    assert isinstance(before, Metrics)
    assert isinstance(after, Metrics)
    assert (before.llm_calls, after.llm_calls) == (1, 1)


async def test_limits_are_the_turns_whatever_pauses_it_has(rig_for: RigFor) -> None:
    rig = rig_for(launching_twice, "limits: {request_limit: 2}")
    await resumed(rig, await paused(rig), approve(0))
    await resumed(rig, rig.paused.state, approve(1))
    assert rig.error is not None
    assert "2 calls of the model" in str(rig.error)


async def test_media_stay_out_of_the_state_and_come_back(rig_for: RigFor) -> None:
    model = Watched(calling(("launch", {})))
    rig = rig_for(model)
    state = await paused(rig, media=(PNG,))
    assert len(state) < 2_000
    assert "[image/png, 5008 bytes]" in state
    await resumed(rig, state, approve(0), media=(PNG,))
    (prompt,) = model.seen[-1][0].parts
    assert isinstance(prompt, UserPromptPart)
    assert [getattr(item, "data", item) for item in prompt.content] == ["go", PNG.data]
    assert "[image/png, 5008 bytes]" in (rig.ended.messages or "")
    assert len(rig.ended.messages or "") < 2_000


async def test_a_call_that_does_not_fit_is_an_error_and_not_asked_about(rig_for: RigFor) -> None:
    rig = rig_for(calling(("land", {}), ("launch", {"stages": "many"})))
    events = await rig.run()
    assert [type(event) for event in about_tools(events)] == [ToolError, ToolError]
    assert isinstance(rig.ending, TurnEnded)


def without_tool(agent: Agent, name: str) -> Agent:
    tools = tuple(tool for tool in agent.tools if tool.name != name)
    return agent.model_copy(update={"tools": tools})


def edited(state: str, **changes: Any) -> str:
    return json.dumps(json.loads(state) | changes)


@pytest.mark.parametrize(
    "broken",
    [
        lambda state: edited(state, version=0),
        lambda state: edited(state, messages=[]),
        lambda state: edited(state, messages=[{"kind": "request"}]),
        lambda state: edited(state, pending=[]),
        lambda state: state.replace('\\"stages\\": 3', '\\"stages\\": 4'),
        lambda _: "",
        lambda _: "{}",
        lambda _: "null",
    ],
)
async def test_a_state_that_is_not_what_was_shown_is_refused(rig_for: RigFor, broken: Any) -> None:
    rig = rig_for(calling(("launch", {"stages": 3})))
    state = await paused(rig)
    assert broken(state) != state
    events = await resumed(rig, broken(state), approve(0))
    assert isinstance(rig.error, CannotResumeError)
    assert events == []
    assert sample_tools.calls == []


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ((), "not for the calls"),
        ((approve(1),), "not for the calls"),
        ((approve(0), approve(1)), "not for the calls"),
        ((approve(0, stages="many"),), "do not fit 'launch': stages: "),
    ],
)
async def test_decisions_that_do_not_fit_are_refused_before_anything_runs(
    rig_for: RigFor, decisions: tuple[Decision, ...], reason: str
) -> None:
    rig = rig_for(calling(("launch", {"stages": 3})))
    events = await resumed(rig, await paused(rig), *decisions)
    assert isinstance(rig.error, CannotResumeError)
    assert reason in str(rig.error)
    assert events == []
    assert sample_tools.calls == []


async def test_a_tool_that_the_agent_has_no_more_cannot_be_resumed(rig_for: RigFor) -> None:
    rig = rig_for(calling(("launch", {"stages": 3})))
    state = await paused(rig)
    task = rig.task("go", resumption=Resumption(state=state, decisions=(approve(0),)))
    task = task.model_copy(update={"agent": without_tool(task.agent, "launch")})
    with pytest.raises(CannotResumeError, match="no longer has the tool 'launch'"):
        await anext(outputs_of(rig.engine, task))
    assert sample_tools.calls == []


def test_arguments_can_be_checked_before_anything_is_taken_up(rig_for: RigFor) -> None:
    engine = rig_for(launching_twice).engine
    assert engine.argument_faults("sample", "launch", {"stages": 2}) == []
    faults = engine.argument_faults("sample", "launch", {"stages": "many"})
    assert [name for name, _ in faults] == ["stages"]
    assert "integer" in faults[0][1]
    assert [name for name, _ in engine.argument_faults("sample", "land", {})] == ["place"]
    assert engine.argument_faults("sample", "of_some_server", {}) == ()


async def test_a_tool_whose_server_is_away_cannot_be_resumed_and_no_other_runs(
    rig_for: RigFor,
) -> None:
    # Nothing listens on the discard port of this machine.
    server = "mcp: [{url: 'http://127.0.0.1:9/mcp', tools: [drop], approval: [drop]}]"
    rig = rig_for(calling(("launch", {})), server)
    calls = [ToolCallPart(name, {}, f"call-{n}") for n, name in enumerate(("launch", "drop"))]
    prompt = ModelRequest(parts=[UserPromptPart("go")])
    messages: list[ModelMessage] = [prompt, ModelResponse(parts=calls)]
    state = pause(messages, Spent(), pending=calls).state
    events = await resumed(rig, state, approve(0), approve(1))
    assert isinstance(rig.error, CannotResumeError)
    assert "'drop' cannot be called at the moment" in str(rig.error)
    assert events == []
    assert sample_tools.calls == []
