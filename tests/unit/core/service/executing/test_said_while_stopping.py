"""What an engine says while it is being stopped belongs to the run, as its reader has it."""

import asyncio
from datetime import timedelta

import pytest

from agentrun.domain.events import ContentDelta
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.runs import RunStatus
from agentrun.domain.turns import TurnEnding
from agentrun.service.executing.bounds import DEADLINE_RESERVE
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import QUICK, StartedRig
from tests.runs import AT, a_run

pytestmark = pytest.mark.anyio


class LastWord(ScriptedEngine):
    """Says one thing more when it is cancelled, as a task of its own may that ends a tick later."""

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        try:
            return await super().run(task, host)
        except asyncio.CancelledError:
            host.say(ContentDelta(text=" and more"))
            raise


@pytest.fixture
def rig() -> StartedRig:
    return StartedRig()


def assert_the_run_is_what_its_reader_has(rig: StartedRig) -> None:
    assert rig.types == ["START", "CONTENT_DELTA", "CONTENT_DELTA", "METRICS", rig.types[-1]]
    assert rig.stored.output == "so far and more"
    assert rig.stored.last_event_id == rig.streamed[-1].id
    assert rig.written == rig.streamed


async def test_a_cancelled_run_keeps_the_last_word(rig: StartedRig) -> None:
    async def cancel() -> None:
        rig.store.request_cancel(a_run().key, at=AT)
        await asyncio.Event().wait()

    await rig.run(LastWord([ContentDelta(text="so far"), cancel]), QUICK)
    assert rig.stored.status is RunStatus.CANCELLED
    assert_the_run_is_what_its_reader_has(rig)


async def test_a_run_past_its_deadline_keeps_the_last_word(rig: StartedRig) -> None:
    async def wait() -> None:
        rig.clock.advance(1)
        await asyncio.Event().wait()

    deadline = AT + DEADLINE_RESERVE + timedelta(milliseconds=10)
    await rig.run(LastWord([ContentDelta(text="so far"), wait]), deadline=deadline)
    assert rig.stored.error_type == "DEADLINE_EXCEEDED"
    assert_the_run_is_what_its_reader_has(rig)
