"""A long answer is stored beside the run's last events, and the end after both."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Event
from typing import Any

import pytest

from agentrun.domain.errors import FencedError
from agentrun.domain.events import ContentDelta
from agentrun.domain.runs import PREVIEW_BYTES, RunStatus
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import StartedRig

pytestmark = pytest.mark.anyio

LONG = ContentDelta(text="x" * (PREVIEW_BYTES + 1))


class CallsOfAnEnd(StartedRig):
    """Notes which calls an end makes, and whether they have returned."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        for port, name in (
            (self.log, "append"),
            (self.store, "keep_texts"),
            (self.store, "finish"),
        ):
            port.after(name, lambda *_, name=name, **__: self.calls.append(name))


@pytest.fixture
def rig() -> Iterator[CallsOfAnEnd]:
    rig = CallsOfAnEnd()
    with ThreadPoolExecutor(2) as threads:
        rig.runs = replace(rig.runs, threads=threads)
        rig.ports = replace(rig.ports, runs=rig.runs)
        yield rig


async def test_the_texts_are_stored_beside_the_last_events(rig: CallsOfAnEnd) -> None:
    """Neither returns before the other has begun."""
    together = Barrier(2)
    rig.log.before("append", lambda *_, **__: together.wait(20))
    rig.store.before("keep_texts", lambda *_, **__: together.wait(20))
    await rig.run(ScriptedEngine([LONG]))
    assert rig.calls[-1] == "finish"
    assert sorted(rig.calls[:-1]) == ["append", "keep_texts"]
    assert rig.stored.output == LONG.text


@pytest.mark.parametrize("failing", ["append", "keep_texts"])
async def test_the_end_waits_for_both(rig: CallsOfAnEnd, failing: str) -> None:
    port = rig.log if failing == "append" else rig.store
    port.fails(failing, times=3)
    await rig.run(ScriptedEngine([LONG]))
    assert rig.calls.count("finish") == 1
    assert rig.calls[-1] == "finish"
    assert failing in rig.calls
    assert rig.written == rig.streamed
    assert rig.stored.status is RunStatus.COMPLETED


async def test_texts_that_are_fenced_off_end_nothing(rig: CallsOfAnEnd) -> None:
    rig.store.fails("keep_texts", error=FencedError("deleted"))
    assert await rig.run(ScriptedEngine([LONG])) is None
    assert "finish" not in rig.calls
    assert "STOP" not in rig.types


async def test_no_try_begins_before_the_last_one_is_over(rig: CallsOfAnEnd) -> None:
    """The events are refused while the texts are still being written."""
    refused, tried_again = Event(), Event()
    seen: list[bool] = []

    def keep(call: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        assert refused.wait(20)
        seen.append(tried_again.wait(0.1))
        call(*args, **kwargs)

    rig.store.around("keep_texts", keep, times=1)
    rig.store.before("heartbeat", lambda *_, **__: tried_again.set())
    rig.log.fails("append", times=1)
    rig.log.before("append", lambda *_, **__: refused.set())
    await rig.run(ScriptedEngine([LONG]))
    assert tried_again.is_set()
    assert seen == [False]


async def test_a_short_answer_makes_no_call_of_its_own(rig: CallsOfAnEnd) -> None:
    await rig.run(ScriptedEngine([ContentDelta(text="short")]))
    assert rig.calls == ["append", "finish"]
