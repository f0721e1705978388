"""No tool begins that may not, wherever it comes from and however it is run."""

import threading
from collections.abc import Callable

import pytest

from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import MayNotActError
from agentrun.domain.events import ToolEnd
from agentrun.domain.turns import Resumption
from tests.unit.agent_catalog import sample_tools
from tests.unit.agent_catalog.conftest import RigFor, calling

pytestmark = pytest.mark.anyio


def let_only(count: int) -> Callable[[], None]:
    """Let so many be asked for, then none."""
    asked: list[int] = []

    def before_tool() -> None:
        asked.append(1)
        if len(asked) > count:
            raise MayNotActError

    return before_tool


@pytest.mark.parametrize("tool", [("add", {"left": 1, "right": 2}), ("locate", {"name": "x"})])
@pytest.mark.parametrize("let", [0, 1])
async def test_no_tool_begins_that_may_not(
    rig_for: RigFor, tool: tuple[str, object], let: int
) -> None:
    """It is asked for by the gate first, then where it begins: in its thread, if it has one."""
    rig = rig_for(calling(tool))
    rig.before_tool = let_only(let)
    events = await rig.run()
    assert isinstance(rig.error, MayNotActError)
    assert rig.ending is None
    assert not [event for event in events if isinstance(event, ToolEnd)]


async def test_of_calls_made_at_once_those_that_may_not_do_not_begin(rig_for: RigFor) -> None:
    rig = rig_for(calling(*[("add", {"left": 1, "right": 2})] * 3))
    rig.before_tool = let_only(1)
    await rig.run()
    assert isinstance(rig.error, MayNotActError)


async def test_an_approved_call_that_may_not_begin_does_not(rig_for: RigFor) -> None:
    sample_tools.calls.clear()
    rig = rig_for(calling(("launch", {"stages": 2})))
    await rig.run()
    decision = Decision(id=rig.paused.pending[0].id, action=ApprovalAction.APPROVE)
    resumption = Resumption(state=rig.paused.state, decisions=(decision,))
    rig.before_tool = let_only(0)
    await rig.run(resumption=resumption)
    assert isinstance(rig.error, MayNotActError)
    assert sample_tools.calls == []


async def test_a_function_is_asked_for_in_the_thread_in_which_it_begins(rig_for: RigFor) -> None:
    asked_in: list[threading.Thread] = []
    rig = rig_for(calling(("add", {"left": 1, "right": 2})))
    rig.before_tool = lambda: asked_in.append(threading.current_thread())
    await rig.run()
    assert asked_in[-1] is not threading.main_thread()
