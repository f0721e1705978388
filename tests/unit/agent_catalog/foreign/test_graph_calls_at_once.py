"""Graphs whose model makes several calls in one answer, of which some ask."""

import json
from pathlib import Path

import pytest

from agentrun.domain.errors import EngineError
from agentrun.domain.turns import TurnEnded
from tests.fakes.own_graphs import effects
from tests.unit.agent_catalog.foreign.graph_rig import Rig, no, pending, yes

pytestmark = pytest.mark.anyio

MODULE = "tests.fakes.calls_at_once"


def pay(amount: int) -> list[object]:
    return ["pay", {"amount": amount}]


def note(text: str) -> list[object]:
    return ["note", {"text": text}]


@pytest.mark.parametrize("name", ["by_hand", "nested"])
@pytest.mark.parametrize("calls", [[pay(10), pay(10000)], [note("a"), pay(10)]], ids=str)
async def test_a_call_that_asks_beside_others_in_one_task_ends_the_run(
    tmp_path: Path, name: str, calls: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, name, module=MODULE)
    with pytest.raises(EngineError, match="'tools' makes several calls at once") as caught:
        await rig.run(json.dumps(calls))
    assert caught.value.error_type == "AGENT_ERROR"
    assert not [effect for effect in effects if effect.startswith("paid")]
    assert "parallel_tool_calls=False" in caplog.text


@pytest.mark.parametrize("name", ["by_hand", "nested"])
async def test_a_call_that_is_alone_asks(tmp_path: Path, name: str) -> None:
    rig = Rig(tmp_path, name, module=MODULE)
    paused = await rig.run(json.dumps([pay(10)]))
    ending = await rig.decide(paused, yes(paused))
    assert isinstance(ending, TurnEnded)
    assert effects == ["paid 10"]


@pytest.mark.parametrize("name", ["by_hand", "nested"])
async def test_calls_that_ask_nothing_run_at_once(tmp_path: Path, name: str) -> None:
    rig = Rig(tmp_path, name, module=MODULE)
    assert await rig.turn(json.dumps([note("a"), note("b")])) == "noted a | noted b"


async def test_calls_that_are_tasks_of_their_own_get_their_own_answers(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "prebuilt", module=MODULE)
    paused = await rig.run(json.dumps([note("a"), pay(10), pay(10000)]))
    asked = [arguments for _, arguments in pending(paused)]
    small = asked.index({"amount": 10})
    await rig.decide(paused, yes(paused, small), no(paused, 1 - small))
    assert sorted(effects) == ["noted a", "paid 10"]
