"""Graphs of LangGraph as agents."""

import json
import zlib
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_catalog import load_catalog
from agent_catalog.catalog import CatalogError
from agent_catalog.running.build import build_agent
from agent_catalog.transcript import transcript
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import (
    BudgetExceededError,
    CancelRequestedError,
    CannotResumeError,
    EngineError,
    HandedOverError,
)
from agentrun.domain.events import Metrics, PauseType, ToolEnd, ToolError, ToolStart
from agentrun.domain.steps import Answered, StepContent
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from tests.fakes import own_graphs
from tests.unit.agent_catalog.foreign.graph_rig import Rig, no, pending, yes

pytestmark = pytest.mark.anyio


async def test_the_deltas_joined_are_the_answer(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "echo")
    assert await rig.turn("Two  words\r\n") == "Two  words\r\n"
    assert len(rig.events) == 3


@pytest.mark.parametrize("name", ["analyst", "nested"])
async def test_tools_are_told_as_they_begin_and_end(tmp_path: Path, name: str) -> None:
    rig = Rig(tmp_path, name)
    assert await rig.turn('/call add {"left": 1, "right": 2}') == "It gave 3"
    assert rig.tools == [
        ToolStart(id="call_1", name="add", arguments={"left": 1, "right": 2}),
        ToolEnd(id="call_1", name="add", result="3"),
    ]
    figures = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14, "llm_calls": 2}
    assert rig.events[-1] == Metrics(model="graph", **figures)


async def test_the_conversation_shows_its_tools(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "analyst")
    await rig.turn('/call add {"left": 1, "right": 2}')
    said = [(message.role, message.content) for message in transcript(rig.history[0])]
    assert [role for role, _ in said] == ["user", "tool", "assistant"]
    assert said[1:] == [("tool", "3"), ("assistant", "It gave 3")]


async def test_a_tool_that_fails_is_told_without_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, "analyst")
    with pytest.raises(EngineError, match=r"^The agent has failed\.$") as caught:
        await rig.run("/call crash {}")
    assert caught.value.error_type == "AGENT_ERROR"
    assert rig.tools[1] == ToolError(id="call_1", name="crash", error="The tool has failed.")
    assert "The tool crash failed" in caplog.text


async def test_a_graph_that_fails_says_so_after_its_figures(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "echo")
    with pytest.raises(EngineError, match="The agent has failed"):
        await rig.run("/fail")
    assert isinstance(rig.events[-1], Metrics)


async def test_nodes_know_whose_run_it_is_and_may_write_the_answer(tmp_path: Path) -> None:
    assert await Rig(tmp_path, "owner").turn("x") == "acme/ana/run-1"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("number", "must be a StateGraph, compiled or not, of langgraph, not int"),
        ("with_memory", "checkpointer: the run keeps the graph's state; leave it out"),
        ("stopping", "interrupt_before, interrupt_after: say what to ask by interrupt"),
        ("wordless", "its state needs 'messages'"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(
    tmp_path: Path, name: str, reason: str
) -> None:
    file = own_graphs.catalog_of(tmp_path, name).definition(name).file
    with pytest.raises(EngineError, match=f"The agent '{name}' cannot be loaded") as caught:
        build_agent(name, file)
    told = str(caught.value.__cause__)
    assert told.startswith(f"{name}.yaml: graph: {own_graphs.__file__}:")
    assert reason in told


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("graph: 'tools.units:no'", r"a\.yaml:3: graph: the module 'tools\.units' defines no 'no'"),
        ("graph: 't:g'\nmodel: demo", r"a\.yaml:4: model: does not go with 'graph'; it is up to"),
        ("graph: 't:g'\nallow_system_prompt: true", r"a\.yaml:4: allow_system_prompt: does not go"),
        ("graph: 't:g'\napproval: [x]", r"a\.yaml:4: approval: does not go with 'graph'"),
    ],
)
def test_faults_of_the_file_are_told_when_it_is_read(tmp_path: Path, more: str, fault: str) -> None:
    (tmp_path / "a.yaml").write_text(f"name: A\ndescription: B\n{more}\n")
    with pytest.raises(CatalogError, match=fault):
        load_catalog("demo", tmp_path)


@pytest.mark.parametrize(("more", "attempts"), [("", 1), ("max_attempts: 3\n", 3)])
def test_by_default_a_run_is_never_taken_over(tmp_path: Path, more: str, attempts: int) -> None:
    assert Rig(tmp_path, "chain", more).agent.max_attempts == attempts


@pytest.mark.parametrize(
    ("decide", "given"),
    [(yes, "true"), (no, "false"), (lambda p: yes(p, arguments={"cents": 5}), '{"cents": 5}')],
)
async def test_an_interrupt_is_an_approval(
    tmp_path: Path, decide: Callable[[TurnEnding], Decision], given: str
) -> None:
    rig = Rig(tmp_path, "refunds")
    paused = await rig.run("order 7")
    assert pending(paused) == [("approve", {"refund": "order 7"})]
    assert own_graphs.effects == []
    ending = await rig.decide(paused, decide(paused))
    assert isinstance(ending, TurnEnded)
    assert rig.text == f"decided {given}after "
    assert own_graphs.effects == ["none" if given == "false" else "refund", "after"]


async def test_actions_of_langchains_middleware_are_decided_one_by_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "reviewed")
    paused = await rig.run()
    assert pending(paused) == [("place_order", {"shares": 2}), ("send_mail", {"to": "Ana"})]
    edited = yes(paused, arguments={"shares": 1})
    await rig.decide(paused, edited, no(paused, 1, reason="not now"))
    action = {"name": "place_order", "args": {"shares": 1}}
    rejected = {"type": "reject", "message": "The call was rejected: not now"}
    assert json.loads(rig.text) == [{"type": "edit", "edited_action": action}, rejected]


async def test_a_tool_may_ask_too_and_acts_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "orders")
    paused = await rig.run('/call ask_first {"order": "7"}')
    assert [event.event for event in rig.tools] == ["TOOL_START", "TOOL_ERROR"]
    assert own_graphs.effects == []
    await rig.decide(paused, yes(paused))
    assert rig.tools[-1] == ToolEnd(id="call_1", name="ask_first", result="ordered 7")
    assert own_graphs.effects == ["ordered 7"]


@pytest.mark.parametrize("state", ["{}", '{"graph":1,"state":"eA==","said":"[]","spent":{}}'])
async def test_what_cannot_be_read_is_not_gone_on_with(tmp_path: Path, state: str) -> None:
    rig = Rig(tmp_path, "refunds")
    with pytest.raises(CannotResumeError):
        await rig.decide(TurnPaused(state=state))
    assert own_graphs.effects == []


async def test_decisions_have_to_be_for_what_waits(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "refunds")
    paused = await rig.run()
    with pytest.raises(CannotResumeError, match="not for the questions that wait"):
        await rig.decide(paused, Decision(id="other", action=ApprovalAction.APPROVE))


async def test_the_whole_state_goes_on_in_the_next_turn(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "counting")
    said = [await rig.turn(message) for message in ("One", "Two", "Three")]
    assert said == ["turn 1, 1 messages", "turn 2, 3 messages", "turn 3, 5 messages"]


async def test_what_a_turn_without_its_state_has_said_goes_on_as_text(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "counting")
    await rig.turn("One")
    rig.past("Two", "cut", None)
    assert await rig.turn("Three") == "turn 2, 5 messages"


async def test_without_a_history_each_turn_stands_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "counting", "history: {turns: 0}\n")
    assert [await rig.turn("One"), await rig.turn("Two")] == ["turn 1, 1 messages"] * 2


async def test_a_step_of_the_graph_is_kept_when_it_is_told_and_the_last_is_none(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, "chain")
    said: list[str] = []

    async def keep(content: StepContent) -> None:
        assert isinstance(content, Answered)
        said.append(rig.text)

    await rig.run(keeping=keep)
    assert said == ["one ", "one two "]
    assert rig.host.asked == 3


@pytest.mark.parametrize("lost_at", [1, 2])
async def test_another_executor_goes_on_after_the_last_step(tmp_path: Path, lost_at: int) -> None:
    rig = Rig(tmp_path, "chain")
    kept: list[StepContent] = []

    async def keep(content: StepContent) -> None:
        kept.append(content)

    def may_ask() -> bool:
        if len(kept) == lost_at:
            raise HandedOverError
        return True

    with pytest.raises(HandedOverError):
        await rig.run(keeping=keep, may_ask=may_ask)
    before = rig.text
    steps = tuple(rig.host.steps)
    ending = await rig.run(steps=steps)
    assert before + rig.text == "one two three "
    assert own_graphs.effects == ["one", "two", "three"]
    assert isinstance(ending, TurnEnded)
    rig.past("go", before + rig.text, ending.messages)
    shown = [message.content for message in transcript(rig.history[0])]
    assert shown == ["go", "one two three "]


@pytest.mark.parametrize("error", [CancelRequestedError(), BudgetExceededError("Spent.")])
async def test_what_the_host_raises_ends_the_run_between_two_steps(
    tmp_path: Path, error: EngineError
) -> None:
    async def refuse(_: StepContent) -> None:
        raise error

    rig = Rig(tmp_path, "chain")
    with pytest.raises(type(error)):
        await rig.run(keeping=refuse)
    assert own_graphs.effects == ["one"]


@pytest.mark.parametrize("answers", [[False], [True, False], [True, True, False]])
async def test_a_spent_budget_pauses_between_two_steps(tmp_path: Path, answers: list[bool]) -> None:
    rig = Rig(tmp_path, "chain")
    paused = await rig.run(may_ask=iter(answers).__next__)
    assert isinstance(paused, TurnPaused)
    assert (paused.type, paused.pending) == (PauseType.BUDGET, ())
    assert len(own_graphs.effects) == len(answers) - 1
    await rig.decide(paused)
    assert own_graphs.effects == ["one", "two", "three"]


async def test_what_was_decided_is_done_although_the_budget_is_spent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "refunds")
    asked = await rig.run("order 7")
    paused = await rig.decide(asked, yes(asked), may_ask=lambda: False)
    assert isinstance(paused, TurnPaused)
    assert paused.type is PauseType.BUDGET
    assert own_graphs.effects == ["refund"]
    await rig.decide(paused)
    assert own_graphs.effects == ["refund", "after"]


async def test_a_finished_subgraph_leaves_nothing_in_the_state(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "nested")
    await rig.turn('/call add {"left": 1, "right": 2}')
    kept = json.loads(rig.history[0].messages or "")[-1]["provider_details"]["langgraph"]
    assert list(json.loads(zlib.decompress(b64decode(kept)))) == [""]


async def test_limits_hold_over_a_loss(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "analyst", "limits: {request_limit: 1}\n")
    with pytest.raises(EngineError, match="1 calls of the model") as caught:
        await rig.run('/call add {"left": 1, "right": 2}')
    assert caught.value.error_type == "USAGE_LIMIT"
    steps = tuple(rig.host.steps)
    assert steps
    with pytest.raises(EngineError, match="1 calls of the model"):
        await rig.run('/call add {"left": 1, "right": 2}', steps=steps)


async def test_a_step_that_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "chain")
    await rig.run()
    content = Answered(message="[]")
    step = rig.host.steps[0].model_copy(update={"content": content})
    own_graphs.effects.clear()
    with pytest.raises(EngineError) as caught:
        await rig.run(steps=(step,))
    assert caught.value.error_type == "CANNOT_RESUME"
    assert own_graphs.effects == []


async def test_without_a_model_for_them_there_are_no_follow_ups(tmp_path: Path) -> None:
    ending = await Rig(tmp_path, "echo").run(generate_followups=True)
    assert isinstance(ending, TurnEnded)
    assert ending.followups == ()
