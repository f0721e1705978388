"""Turns that go on after their last step: nothing runs twice, and nothing is lost."""

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import (
    FunctionToolResultEvent,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from agent_catalog import load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agent_catalog.running.steps import answered, with_steps
from agent_catalog.running.steps import returned as returned_step
from agentrun.domain.agents import Agent, Replay
from agentrun.domain.errors import (
    BudgetExceededError,
    CannotResumeError,
    EngineError,
    HandedOverError,
)
from agentrun.domain.events import Metrics, PauseType, ToolEnd, ToolError
from agentrun.domain.steps import Answered, Began, Returned, Step, StepContent
from agentrun.domain.turns import TurnEnded
from tests.fakes import counting_tools
from tests.fakes.engine_outputs import FakeHost
from tests.unit.agent_catalog.running.going_on import (
    Steps,
    approve,
    continued,
    handed_over,
    reject,
    returned,
)

pytestmark = pytest.mark.anyio

SIDE_BY_SIDE = "/call look {} /call send {} /call book {}"
THREE = f"{SIDE_BY_SIDE} then /call seen {{}} then /call send {{}} /call look {{}}"
MIXED = "/call look {} /call order {} /call send {} /call order {} then /call seen {}"


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path)


async def test_from_each_prefix_of_its_journal_a_turn_comes_to_the_same(steps: Steps) -> None:
    journal = await steps.run(THREE)
    messages, effects = steps.messages, steps.effects
    assert len(journal) == 9
    for count in range(len(journal) + 1):
        prefix = handed_over(journal[:count])
        again = await steps.run(THREE, steps=prefix)
        assert steps.messages == messages
        assert steps.effects == [done for done in effects if done[1] not in returned(prefix)]
        kept = [step for step in again if not isinstance(step.content, Began)]
        assert len(kept) == len(journal)


async def test_whatever_order_results_came_in_their_messages_are_the_same(steps: Steps) -> None:
    journal = await steps.run(SIDE_BY_SIDE)
    messages = steps.messages
    answer, *results = journal
    for result in results:
        await steps.run(SIDE_BY_SIDE, steps=handed_over([answer, result]))
        assert steps.messages == messages
        assert len(steps.effects) == 2


async def test_a_lost_turn_is_in_doubt_exactly_while_an_unsafe_call_is_open(steps: Steps) -> None:
    journal = await steps.run(THREE)
    sends = [call_id for name, call_id in steps.effects if name == "send"]
    for count in range(len(journal) + 1):
        prefix = journal[:count]
        answers = [step.content for step in prefix if isinstance(step.content, Answered)]
        acting = answers[-1].acting if answers else ()
        doubted = set(acting) - returned(prefix)
        assert doubted <= set(sends)
        await steps.run(THREE, steps=prefix)
        if doubted:
            assert {call.id for call in steps.paused.pending} == doubted
            assert (steps.effects, steps.host.kept, steps.host.asked) == ([], [], 0)
        else:
            assert isinstance(steps.ending, TurnEnded)


async def in_doubt(steps: Steps, message: str = SIDE_BY_SIDE) -> str:
    """Lose a turn whose `look` has returned and whose `send` may have run; return that id."""
    journal = await steps.run(message)
    ids = dict(steps.effects)
    answer = journal[0]
    (look,) = (step for step in journal if returned([step]) == {ids["look"]})
    await steps.run(message, steps=[answer, look])
    (call,) = steps.paused.pending
    assert steps.paused.type is PauseType.TOOL_IN_DOUBT
    assert (call.tool, call.id) == ("send", ids["send"])
    return call.id


async def test_a_doubt_that_is_approved_runs_the_call_again(steps: Steps) -> None:
    call_id = await in_doubt(steps)
    await steps.decide(SIDE_BY_SIDE, approve(call_id))
    assert [name for name, _ in steps.effects] == ["book", "send"]
    assert isinstance(steps.ending, TurnEnded)


async def test_a_doubt_that_is_rejected_leaves_it_open_what_has_happened(steps: Steps) -> None:
    call_id = await in_doubt(steps)
    await steps.decide(SIDE_BY_SIDE, reject(call_id, reason="Ask Ana."))
    assert [name for name, _ in steps.effects] == ["book"]
    (error,) = (event for event in steps.events if isinstance(event, ToolError))
    assert error.id == call_id
    assert error.error.startswith("Nobody knows whether this call has run")
    assert error.error.endswith("Ask Ana.")
    assert "TOOL_START send" not in steps.tools
    assert call_id in returned(steps.host.steps)


@pytest.mark.parametrize("action", [approve, reject])
@pytest.mark.parametrize("result", [{"sent": True}, None, "", False])
async def test_a_doubt_that_is_settled_by_its_result_runs_nothing(
    steps: Steps, action: Any, result: Any
) -> None:
    call_id = await in_doubt(steps)
    await steps.decide(SIDE_BY_SIDE, action(call_id, result=result))
    assert [name for name, _ in steps.effects] == ["book"]
    ends = [event for event in steps.events if isinstance(event, ToolEnd) and event.id == call_id]
    assert [end.result for end in ends] == [result]
    assert "TOOL_START send" not in steps.tools


async def test_a_given_result_is_one_of_the_conversations_results(steps: Steps) -> None:
    message = "/call look {} then /call seen {}"
    steps.agent = never(steps.agent, "look")
    journal = await steps.run(message)
    await steps.run(message, steps=journal[:1])
    await steps.decide(message, approve(steps.paused.pending[0].id, result="given"))
    ends = {event.name: event.result for event in steps.events if isinstance(event, ToolEnd)}
    assert ends == {"look": "given", "seen": ["given"]}


async def test_recorded_results_are_the_conversations_results(steps: Steps) -> None:
    message = "/call look {} then /call seen {}"
    journal = await steps.run(message)
    await steps.run(message, steps=handed_over(journal[:3]))
    (end,) = (event for event in steps.events if isinstance(event, ToolEnd))
    assert (end.name, end.result) == ("seen", ["seen it"])


async def test_what_was_decided_of_another_doubt_is_not_asked_again(steps: Steps) -> None:
    message = "/call send {} /call send {}"
    journal = await steps.run(message)
    await steps.run(message, steps=journal[:1])
    first, second = (call.id for call in steps.paused.pending)
    decisions = reject(first), approve(second)
    await steps.decide(message, *decisions, steps=[continued(second)])
    assert [call.id for call in steps.paused.pending] == [second]
    await steps.decide(message, approve(second, result="sent"))
    assert steps.effects == []
    (error,) = (event for event in steps.events if isinstance(event, ToolError))
    assert error.id == first
    assert error.error.startswith("Nobody knows")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (HandedOverError(), []),
        (EngineError("Enough."), ["TOOL_ERROR book", "TOOL_ERROR look"]),
    ],
)
async def test_tools_stay_open_only_if_somebody_goes_on_with_them(
    steps: Steps, error: EngineError, told: list[str]
) -> None:
    async def keep(content: StepContent) -> None:
        if isinstance(content, Returned):
            raise error

    host = FakeHost(steps.events.append, keeping=keep)
    with pytest.raises(type(error)) as caught:
        await steps.engine.run(steps.task('/call look {} /call book {"seconds": 60}'), host)
    assert caught.value is error
    assert sorted(steps.tools[2:]) == told
    assert isinstance(steps.events[-1], Metrics) == bool(told)


async def test_a_second_loss_after_a_decided_doubt_is_a_doubt_again(steps: Steps) -> None:
    call_id = await in_doubt(steps)
    await steps.decide(SIDE_BY_SIDE, approve(call_id), steps=[continued(call_id)])
    assert [call.id for call in steps.paused.pending] == [call_id]
    assert steps.effects == []
    await steps.decide(SIDE_BY_SIDE, approve(call_id, result="at last"))
    assert [name for name, _ in steps.effects] == ["book"]
    assert isinstance(steps.ending, TurnEnded)


def never(agent: Agent, name: str) -> Agent:
    """Return the agent with a tool that must not run twice."""
    tools = tuple(
        tool.model_copy(update={"replay": Replay.NEVER}) if tool.name == name else tool
        for tool in agent.tools
    )
    return agent.model_copy(update={"tools": tools})


async def test_calls_that_nobody_has_decided_still_wait_after_a_loss(steps: Steps) -> None:
    journal = await steps.run(MIXED)
    waiting = steps.paused.pending
    assert [call.tool for call in waiting] == ["order", "order"]
    for count in range(len(journal) + 1):
        prefix = handed_over(journal[:count])
        await steps.run(MIXED, steps=prefix)
        assert steps.paused.type is PauseType.TOOL_APPROVAL
        assert steps.paused.pending == waiting
        assert "order" not in {name for name, _ in steps.effects}
        assert len(steps.effects) == 2 - len(returned(prefix))


async def test_a_continuation_comes_to_the_same_from_each_prefix_of_its_journal(
    steps: Steps,
) -> None:
    await steps.run(MIXED)
    paused = steps.paused
    first, second = (call.id for call in paused.pending)
    decisions = approve(first, arguments={"count": 7}), reject(second, reason="too many")
    await steps.decide(MIXED, *decisions, steps=[continued()])
    messages, effects, journal = steps.messages, steps.effects, steps.host.steps
    assert effects == [("order", first), ("seen", "demo_3_1")]
    assert len(journal) == 6
    for count in range(1, len(journal) + 1):
        steps.ending = paused
        prefix = handed_over(journal[:count])
        await steps.decide(MIXED, *decisions, steps=prefix)
        assert steps.messages == messages
        assert steps.effects == [done for done in effects if done[1] not in returned(prefix)]


async def test_an_approved_call_that_may_have_run_is_in_doubt_and_others_keep_their_decisions(
    steps: Steps,
) -> None:
    await steps.run(MIXED)
    first, second = (call.id for call in steps.paused.pending)
    decisions = approve(first, arguments={"count": 7}), reject(second, reason="too many")
    await steps.decide(MIXED, *decisions, steps=[continued(first)])
    (call,) = steps.paused.pending
    assert (call.id, call.arguments) == (first, {"count": 7})
    await steps.decide(MIXED, approve(first))
    assert [name for name, _ in steps.effects] == ["order", "seen"]
    ends = {event.id: event.result for event in steps.events if isinstance(event, ToolEnd)}
    errors = {event.id: event.error for event in steps.events if isinstance(event, ToolError)}
    assert ends[first] == "ordered 7"
    assert errors == {second: "The call was rejected: too many"}


async def test_a_doubt_comes_before_the_approvals_of_the_same_answer(steps: Steps) -> None:
    journal = await steps.run(MIXED)
    await steps.run(MIXED, steps=journal[:1])
    assert [call.tool for call in steps.paused.pending] == ["send"]
    await steps.decide(MIXED, approve(steps.paused.pending[0].id))
    assert steps.paused.type is PauseType.TOOL_APPROVAL
    assert [call.tool for call in steps.paused.pending] == ["order", "order"]
    first, second = (call.id for call in steps.paused.pending)
    await steps.decide(MIXED, approve(first), approve(second))
    assert [name for name, _ in steps.effects] == ["order", "order", "seen"]


async def test_a_run_that_paused_for_its_budget_goes_on_with_the_model(steps: Steps) -> None:
    steps.asks = False
    await steps.run(THREE)
    assert (steps.paused.type, steps.paused.pending) == (PauseType.BUDGET, ())
    steps.asks = True
    whole = await steps.decide(THREE)
    messages, effects = steps.messages, steps.effects
    for count in range(1, len(whole) + 1):
        prefix = handed_over(whole[:count])
        steps.asks = False
        await steps.run(THREE, steps=prefix)
        assert (steps.paused.type, steps.paused.pending) == (PauseType.BUDGET, ())
        before = steps.effects
        steps.asks = True
        await steps.decide(THREE)
        assert steps.messages == messages
        done = [call for call in effects if call[1] in returned(prefix)]
        assert sorted([*done, *before, *steps.effects]) == effects


@pytest.mark.parametrize("error", [None, BudgetExceededError("Spent."), HandedOverError()])
async def test_no_followups_are_suggested_beyond_the_budget(
    steps: Steps, error: Exception | None
) -> None:
    answers = iter([True])

    def may_ask() -> bool:
        if next(answers, False):
            return True
        if error is not None:
            raise error
        return False

    host = FakeHost(may_ask=may_ask)
    task = steps.task("Hello", generate_followups=True)
    whole = await steps.engine.run(task, FakeHost())
    assert isinstance(whole, TurnEnded)
    assert whole.followups is not None
    ending = await steps.engine.run(task, host)
    assert ending == TurnEnded()
    assert host.asked == 2


async def test_figures_are_of_what_came_after_the_last_step(steps: Steps) -> None:
    journal = await steps.run(THREE)
    assert journal[-1].metrics.llm_calls == 3
    again = await steps.run(THREE, steps=handed_over(journal[:5]))
    figures = [event for event in steps.events if isinstance(event, Metrics)]
    assert figures[-1].llm_calls == 2
    assert again[-1].metrics.llm_calls == journal[-1].metrics.llm_calls


async def test_what_the_steps_have_used_counts_towards_the_limits(tmp_path: Path) -> None:
    steps = Steps(tmp_path, "limits: {request_limit: 3}")
    with pytest.raises(EngineError, match="3 calls of the model"):
        await steps.run(THREE)
    journal = steps.host.steps
    assert len(journal) == 9
    with pytest.raises(EngineError, match="3 calls of the model"):
        await steps.run(THREE, steps=handed_over(journal[:6]))
    assert len(steps.host.steps) == 9


async def test_a_call_has_the_same_id_whenever_it_runs_and_another_in_another_run(
    steps: Steps,
) -> None:
    journal = await steps.run("/call book {}")
    first = list(counting_tools.keys)
    await steps.run("/call book {}", steps=journal[:1])
    assert counting_tools.keys == first == ["run-1/demo_1_1"]
    await steps.run("/call book {}", run_id="run-2")
    assert counting_tools.keys == ["run-2/demo_1_1"]


async def test_a_step_that_cannot_be_read_fails_the_run(steps: Steps) -> None:
    broken = Step(number=1, event_id=1, content=Answered(message='{"kind": "unheard of"}'))
    with pytest.raises(EngineError) as caught:
        await steps.run("/call look {}", steps=[broken])
    assert caught.value.error_type == "CANNOT_RESUME"
    assert not isinstance(caught.value, CannotResumeError)


async def test_a_result_stands_though_its_tool_is_gone(steps: Steps, tmp_path: Path) -> None:
    message = "/call look {} /call book {}"
    journal = await steps.run(message)
    messages = steps.messages
    file = tmp_path / "counter.yaml"
    only = "name: Counter\ndescription: Has one tool.\ntools: [tests.fakes.counting_tools:order]\n"
    file.write_text(only, encoding="utf-8")
    catalog = load_catalog("demo", tmp_path)
    steps.engine = PydanticAiEngine(catalog, lambda _: demo_model(delay_s=0))
    steps.agent = catalog.agent("counter")
    await steps.run(message, steps=handed_over(journal))
    assert steps.messages == messages
    await steps.run(message, steps=handed_over(journal[:2]))
    assert steps.effects == []
    (error,) = (event for event in steps.events if isinstance(event, ToolError))
    assert "Unknown tool" in error.error


async def test_what_the_model_is_shown_beside_a_result_is_kept_with_it() -> None:
    calls = [ToolCallPart("look", {}, f"call-{number}") for number in (1, 2)]
    parts = [ToolReturnPart("look", "seen", call.tool_call_id) for call in calls]
    shown = FunctionToolResultEvent(parts[0], content="a picture")
    contents = [
        answered(ModelResponse(parts=calls), ()),
        returned_step(FunctionToolResultEvent(parts[1])),
        returned_step(shown),
    ]
    journal = [
        Step(number=number, event_id=number, content=content)
        for number, content in enumerate(contents, start=1)
    ]
    (_, request) = with_steps([], journal)
    ids = [getattr(part, "tool_call_id", None) for part in request.parts]
    assert ids == ["call-1", "call-2", None]
    assert isinstance(request.parts[-1], UserPromptPart)
    assert request.parts[-1].content == "a picture"
