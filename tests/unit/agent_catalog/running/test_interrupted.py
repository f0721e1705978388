"""Answers that break off in their midst are asked for again."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic_ai import exceptions as ai
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, StreamFunctionDef

from agent_catalog.running.tapped import is_interruption
from agentrun.domain.errors import EngineError, HandedOverError
from agentrun.domain.events import ContentDelta, EngineEvent, Metrics, PauseType
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.fakes.engine_outputs import FakeHost
from tests.unit.agent_catalog.conftest import RigFor

pytestmark = pytest.mark.anyio

LOST = ai.ModelConnectionError("m", "gone")


def breaking(times: int, error: Exception = LOST, *, says: str = "one ") -> StreamFunctionDef:
    """A model that breaks off so many times before it answers."""
    left = times

    async def stream(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
        nonlocal left
        if left:
            left -= 1
            if says:
                yield says
            else:
                yield {1: DeltaToolCall(name="add", json_args="{", tool_call_id="call-1")}
            raise error
        yield "whole"

    return stream


class Listener:
    """Hears what stands of what is said."""

    def __init__(self) -> None:
        self.said: list[EngineEvent] = []

    def host(self, may_ask: Callable[[], bool] = lambda: True) -> FakeHost:
        return FakeHost(self.said.append, may_ask=may_ask, on_void=self._void)

    def _void(self) -> None:
        self.said[:] = [event for event in self.said if not isinstance(event, ContentDelta)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.said if isinstance(event, ContentDelta))

    @property
    def figures(self) -> Metrics:
        return [event for event in self.said if isinstance(event, Metrics)][-1]


@pytest.mark.parametrize("times", [0, 1, 2])
async def test_an_answer_that_breaks_off_twice_is_whole_at_the_third_time(
    rig_for: RigFor, times: int
) -> None:
    rig, heard = rig_for(breaking(times)), Listener()
    host = heard.host()
    ending = await rig.engine.run(rig.task("go"), host)
    assert isinstance(ending, TurnEnded)
    assert heard.text == "whole"
    assert (host.voided, host.asked) == (times, times + 1)
    assert heard.figures.llm_calls == times + 1


async def test_the_third_time_is_the_error(rig_for: RigFor) -> None:
    rig, heard = rig_for(breaking(3)), Listener()
    host = heard.host()
    with pytest.raises(EngineError, match="connection to the model has failed"):
        await rig.engine.run(rig.task("go"), host)
    assert heard.text == "one "
    assert (host.voided, host.asked) == (2, 3)
    assert heard.figures.llm_calls == 3


async def test_where_nothing_was_said_nothing_is_taken_back(rig_for: RigFor) -> None:
    rig, heard = rig_for(breaking(1, says="")), Listener()
    host = heard.host()
    await rig.engine.run(rig.task("go"), host)
    assert heard.text == "whole"
    assert (host.voided, host.asked) == (0, 2)


async def test_what_was_lost_is_told_before_the_host_is_asked_again(rig_for: RigFor) -> None:
    rig, heard = rig_for(breaking(2)), Listener()
    calls: list[int] = []

    def may_ask() -> bool:
        figures = [event for event in heard.said if isinstance(event, Metrics)]
        calls.append(figures[-1].llm_calls or 0 if figures else 0)
        return True

    await rig.engine.run(rig.task("go"), heard.host(may_ask))
    assert calls == [0, 1, 2]


async def test_no_answer_is_asked_for_again_beyond_the_budget(rig_for: RigFor) -> None:
    rig, heard = rig_for(breaking(2)), Listener()
    answers = iter([True, False])
    ending = await rig.engine.run(rig.task("go"), heard.host(lambda: next(answers)))
    assert isinstance(ending, TurnPaused)
    assert ending.type is PauseType.BUDGET
    assert heard.text == ""


async def test_no_answer_is_asked_for_again_beyond_the_limit_of_calls(rig_for: RigFor) -> None:
    rig, heard = rig_for(breaking(2), "limits: {request_limit: 1}"), Listener()
    host = heard.host()
    with pytest.raises(EngineError, match="1 calls of the model"):
        await rig.engine.run(rig.task("go"), host)
    assert host.asked == 1


async def test_a_run_that_is_handed_over_meanwhile_says_nothing_more(rig_for: RigFor) -> None:
    rig, heard = rig_for(breaking(2)), Listener()
    asked = iter([True])

    def may_ask() -> bool:
        if next(asked, False):
            return True
        raise HandedOverError

    with pytest.raises(HandedOverError):
        await rig.engine.run(rig.task("go"), heard.host(may_ask))
    assert heard.figures.llm_calls == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LOST, True),
        (ai.ModelTimeoutError("m", "slow"), True),
        (ai.ModelRateLimitError("m", "busy"), True),
        (ai.ModelOverloadedError("m", "busy"), True),
        (ai.ModelServerError("m", "broken"), True),
        (ai.ModelHTTPError(424, "m", in_stream=True), True),
        (ai.ModelHTTPError(424, "m"), False),
        (ai.ModelRequestRejectedError("m", "no"), False),
        (ai.ModelQuotaExceededError("m", "no"), False),
        (ai.ContentFilterError("no"), False),
        (ai.UnexpectedModelBehavior("what"), False),
        (ai.ModelAPIError("m", "asked to fail"), False),
        (ai.ModelAPIError("m", "Streamed response ended without a `finish_reason`"), True),
        (EngineError("enough"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_may_not_come_again_is_an_interruption(error: Exception, expected: bool) -> None:
    assert is_interruption(error, has_begun=True) is expected


def test_a_model_that_has_not_begun_in_time_is_not_waited_for_again() -> None:
    assert not is_interruption(ai.ModelTimeoutError("m", "slow"), has_begun=False)
    assert is_interruption(LOST, has_begun=False)
