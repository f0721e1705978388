"""What is made of a graph's models: their tokens, and answers that were cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentrun.domain.errors import EngineError
from agentrun.domain.events import Metrics
from tests.fakes.own_graphs import effects
from tests.unit.agent_catalog.foreign.graph_rig import Rig

pytestmark = pytest.mark.anyio

MODULE = "tests.fakes.odd_answers"
CUT: list[dict[str, Any]] = [
    {"finish_reason": "length"},
    {"finish_reason": "MAX_TOKENS"},
    {"stop_reason": "max_tokens"},
    {"stop_reason": "model_context_window_exceeded"},
    {"stopReason": "max_tokens"},
    {"done_reason": "length"},
    {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, "paying", module=MODULE)


def call(arguments: str, *told: dict[str, Any]) -> str:
    return json.dumps([{"arguments": arguments}, *({"told": each} for each in told)])


def usage(*told: tuple[int, int] | None) -> str:
    return json.dumps([{"text": "a", **({"usage": each} if each else {})} for each in told])


def figures(rig: Rig) -> tuple[int | None, int | None]:
    last = rig.events[-1]
    assert isinstance(last, Metrics)
    return last.input_tokens, last.output_tokens


@pytest.mark.parametrize("told", CUT, ids=json.dumps)
async def test_a_call_that_was_cut_does_not_run(rig: Rig, told: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="The model ran out of tokens") as caught:
        await rig.run(call('{"amount": 10', told))
    assert caught.value.error_type == "MAX_TOKENS"
    assert effects == rig.tools == []


async def test_a_reason_that_a_server_sends_twice_is_known_too(rig: Rig) -> None:
    with pytest.raises(EngineError, match="The model ran out of tokens"):
        await rig.run(call('{"amount": 10', *CUT[:1] * 2))
    assert effects == []


async def test_a_node_that_goes_on_all_the_same_cannot_run_a_tool(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "careless", module=MODULE)
    with pytest.raises(EngineError, match="The model ran out of tokens"):
        await rig.run(call('{"amount": 10', CUT[0]))
    assert effects == ["failed", "failed again"]


@pytest.mark.parametrize("reason", ["tool_calls", "tool_use", "stop"])
async def test_a_whole_call_runs(rig: Rig, reason: str) -> None:
    assert await rig.turn(call('{"amount": 1000}', {"finish_reason": reason})) == "Paid."
    assert effects == ["paid 1000"]


async def test_a_text_that_was_cut_is_an_answer(rig: Rig) -> None:
    assert await rig.turn(json.dumps([{"text": "It is", "told": CUT[0]}])) == "It is"


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        pytest.param([(100, 1), (100, 2), (100, 3), (100, 3)], (100, 3), id="running totals"),
        pytest.param([None, None, (100, 3)], (100, 3), id="at the end"),
        pytest.param([(100, 0), None, (0, 3)], (100, 3), id="in parts"),
        pytest.param([(100, 1), (20, 2)], (120, 3), id="in parts of both"),
        pytest.param([None, None], (None, None), id="never"),
    ],
)
async def test_an_answers_tokens_count_once_however_often_they_are_told(
    rig: Rig, told: list[tuple[int, int] | None], counted: tuple[int | None, int | None]
) -> None:
    await rig.run(usage(*told))
    assert figures(rig) == counted
