"""LangChain's agents, whose calls its HumanInTheLoopMiddleware lets a human review."""

import json
from pathlib import Path

import pytest

from agent_catalog.transcript import transcript
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import ToolEnd, ToolError, ToolStart
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.fakes.own_graphs import effects
from tests.unit.agent_catalog.foreign.graph_rig import Rig, no, pending, yes

pytestmark = pytest.mark.anyio

ORDER = ["place_order", {"symbol": "AMZN", "shares": 2}]
MAIL = ["send_mail", {"to": "Ana"}]
QUOTE = ["get_quote", {"symbol": "X"}]
ASK = ["ask_user", {"question": "Which one?"}]


@pytest.fixture(params=["batched", "per_call"])
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Rig:
    return Rig(tmp_path, request.param, module="tests.fakes.reviewed_agents")


def calls(*wanted: object) -> str:
    return json.dumps(wanted)


async def test_the_calls_that_are_reviewed_wait_with_their_arguments(rig: Rig) -> None:
    paused = await rig.run(calls(ORDER, QUOTE, MAIL))
    assert pending(paused) == [tuple(ORDER), tuple(MAIL)]
    assert set(effects) <= {"looked up X"}


async def test_approved_calls_run_as_they_were_shown(rig: Rig) -> None:
    paused = await rig.run(calls(ORDER, QUOTE, MAIL))
    await rig.decide(paused, yes(paused), yes(paused, 1))
    assert rig.text == "bought 2 AMZN | X costs 1 | mailed Ana"
    assert sorted(effects) == ["bought 2 AMZN", "looked up X", "mailed Ana"]
    order = ToolStart(id="place_order-0", name="place_order", arguments=ORDER[1])
    assert order in rig.tools
    assert ToolEnd(id="place_order-0", name="place_order", result="bought 2 AMZN") in rig.tools


async def test_a_call_runs_with_the_approvers_arguments(rig: Rig) -> None:
    paused = await rig.run(calls(ORDER))
    less = {"symbol": "AMZN", "shares": 1}
    await rig.decide(paused, yes(paused, arguments=less))
    assert effects == ["bought 1 AMZN"]
    # The middleware tells the model so.
    assert "a human reviewer replaced this tool call" in rig.text
    assert rig.tools == [
        ToolStart(id="place_order-0", name="place_order", arguments=less),
        ToolEnd(id="place_order-0", name="place_order", result="bought 1 AMZN"),
    ]


async def test_a_rejected_call_does_not_run_and_the_model_sees_why(rig: Rig) -> None:
    paused = await rig.run(calls(ORDER, MAIL))
    # In any order.
    ending = await rig.decide(paused, yes(paused, 1), no(paused, reason="too many"))
    assert isinstance(paused, TurnPaused)
    assert effects == ["mailed Ana"]
    why = "The call was rejected: too many"
    assert rig.tools[0] == ToolError(id=paused.pending[0].id, name="place_order", error=why)
    assert f"with reason: {why} | mailed Ana" in rig.text
    assert isinstance(ending, TurnEnded)
    rig.past(rig.message, rig.text, ending.messages)
    assert why in [str(message.content) for message in transcript(rig.history[0])]


async def test_a_decision_that_is_not_allowed_leaves_the_run_paused(rig: Rig) -> None:
    paused = await rig.run(calls(ORDER, MAIL))
    other = yes(paused, 1, arguments={"to": "Bob"})
    with pytest.raises(CannotResumeError, match=r"'send_mail' takes approve, reject, not edit"):
        await rig.decide(paused, yes(paused), other)
    assert effects == []
    await rig.decide(paused, yes(paused), yes(paused, 1))
    assert sorted(effects) == ["bought 2 AMZN", "mailed Ana"]


async def test_a_human_may_answer_in_a_tools_place(rig: Rig) -> None:
    paused = await rig.run(calls(ASK))
    with pytest.raises(CannotResumeError, match=r'takes respond \(approve with {"message"'):
        await rig.decide(paused, yes(paused))
    await rig.decide(paused, yes(paused, arguments={"message": "The red one."}))
    assert rig.text == "The red one."


async def test_a_second_review_may_follow_in_the_same_conversation(rig: Rig) -> None:
    for shares in (1, 2):
        paused = await rig.run(calls(["place_order", {"symbol": "AMZN", "shares": shares}]))
        ending = await rig.decide(paused, yes(paused))
        assert isinstance(ending, TurnEnded)
        rig.past(rig.message, rig.text, ending.messages)
    assert effects == ["bought 1 AMZN", "bought 2 AMZN"]
    assert await rig.turn("Thanks") == "Thanks"
