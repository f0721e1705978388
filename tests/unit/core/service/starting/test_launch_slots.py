"""Slots of runs: taken before they begin, given back however they end."""

import asyncio

import pytest
from pydantic import JsonValue

from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.errors import ConflictError, TooManyRunsError
from agentrun.domain.events import ContentDelta, Metrics, PendingApproval
from agentrun.domain.quotas import RunLimits
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.result import RunStream
from agentrun.service.starting.continue_run import paused_run
from agentrun.service.starting.start_run import Idempotency
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.rig import ANA, Rig, read_all

pytestmark = pytest.mark.anyio

REQUEST = RunRequest(message="hello")
CALL = PendingApproval(id="c1", tool="order", tool_name="order", arguments={})
APPROVE = ContinueRequest(action=ApprovalAction.APPROVE)


class OneRunRig(Rig):
    """A user may have one run."""

    def __init__(self, *script: Item, resumed: list[Item] | None = None) -> None:
        super().__init__(RunLimits(runs_per_user=1, tokens_per_day_per_tenant=10))
        self.gate = asyncio.Event()
        engine = ScriptedEngine(script or [ContentDelta(text="a"), self.gate], resumed=resumed)
        self.here = self.launcher(engine)

    async def begin(self, key: str | None = None, body: JsonValue = None) -> RunStream:
        idempotency = Idempotency(key=key, body=body) if key else None
        return await self.here.begin(ANA, "echo", REQUEST, idempotency=idempotency, deadline=None)


async def test_a_refused_run_leaves_nothing_behind_and_a_slot_comes_back_at_the_end() -> None:
    rig = OneRunRig()
    first = await rig.begin()
    with pytest.raises(TooManyRunsError):
        await rig.begin()
    assert set(rig.store.runs) == {first.run.key}
    rig.gate.set()
    await read_all(first)
    await read_all(await rig.begin())


async def test_a_start_that_was_refused_later_gives_its_slot_back() -> None:
    rig = OneRunRig(ContentDelta(text="a"))
    await read_all(await rig.begin("key"))
    with pytest.raises(ConflictError):
        await rig.begin("key", {"another": "body"})
    await read_all(await rig.begin())


async def test_a_replay_gives_its_slot_back() -> None:
    rig = OneRunRig(ContentDelta(text="a"))
    await read_all(await rig.begin("key"))
    again = await rig.begin("key")
    assert not isinstance(again, RunExecution)
    await read_all(await rig.begin())


async def test_the_same_request_again_is_answered_even_where_no_slot_is_free() -> None:
    rig = OneRunRig()
    first = await rig.begin("key")
    again = await rig.begin("key")
    assert again.run.id == first.run.id
    rig.gate.set()
    await read_all(first)


async def test_a_pause_frees_its_slot_and_a_continuation_takes_one() -> None:
    paused = TurnPaused(pending=(CALL,), state="s")
    may_pause = asyncio.Event()
    rig = OneRunRig(may_pause, paused, resumed=[ContentDelta(text="b")])
    may_pause.set()
    first = await rig.begin()
    await read_all(first)
    may_pause.clear()
    second = await rig.begin()
    found = await paused_run(ANA, "echo", first.run.id, rig.runs)
    with pytest.raises(TooManyRunsError):
        await rig.here.resume(ANA, found, APPROVE, deadline=None)
    assert rig.store.get(first.run.key).status is RunStatus.PAUSED
    may_pause.set()
    await read_all(second)
    await read_all(await rig.here.resume(ANA, found, APPROVE, deadline=None))
    assert rig.store.get(first.run.key).status == RunStatus.COMPLETED


async def test_a_days_tokens_are_counted() -> None:
    rig = OneRunRig(Metrics(total_tokens=6))
    await read_all(await rig.begin())
    await read_all(await rig.begin())
    with pytest.raises(TooManyRunsError, match="daily budget of 10 tokens"):
        await rig.begin()
