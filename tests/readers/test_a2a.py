"""A real server of a2a-sdk 0.3 as an agent: by its card, and by its address for JSON-RPC."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agentrun.domain.events import ContentDelta, ReasoningDelta
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import CANCEL_REQUESTED
from agentrun.domain.steps import Answered, StepContent
from tests.e2e.conftest import ROOT, wait_until
from tests.unit.agent_catalog.foreign.remote_agent import Rig, attached_to

pytestmark = pytest.mark.anyio
PYTHON = ROOT / ".venv" / "readers" / "bin" / "python"
CARD = "/.well-known/agent-card.json"


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    """Yield the URL of the running agent."""
    program = str(Path(__file__).with_name("a2a_agent.py"))
    with subprocess.Popen([PYTHON, program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture(params=[CARD, "/"], ids=["card", "address"])
def rig(
    agent: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Rig:
    monkeypatch.setenv("REMOTE_KEY", "sk-remote")
    return Rig(tmp_path, agent + request.param, "media: [image/png]\n")


def state_of(agent: str, task_id: str) -> str:
    """Ask the agent how a task is doing."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": task_id}}
    state: str = httpx.post(agent, json=body).json()["result"]["status"]["state"]
    return state


async def test_a_task_is_told_as_it_goes(rig: Rig) -> None:
    await rig.run("go")
    assert [event for event in rig.events if isinstance(event, ReasoningDelta)] == [
        ReasoningDelta(text="Looking it up.")
    ]
    assert [event.text for event in rig.events if isinstance(event, ContentDelta)] == [
        "It ",
        "is 3.",
    ]


async def test_an_answer_may_be_a_message(rig: Rig) -> None:
    assert await rig.turn("plain") == "Plain."


async def test_media_arrive(rig: Rig) -> None:
    await rig.run("parts", media=(LoadedMedia(type="image/png", data=b"\x89PNG"),))
    assert rig.text == '{"kinds":["text","file"]}'


async def test_a_task_that_asks_goes_on(rig: Rig) -> None:
    assert await rig.turn("ask") == "Which one?"
    assert await rig.turn("Red") == " Red it is."


async def test_a_task_outlives_its_executor_and_is_cancelled_with_its_run(
    agent: str, rig: Rig
) -> None:
    place: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def keep(content: StepContent) -> None:
        if isinstance(content, Answered):
            place.set_result(content.message)

    first = asyncio.create_task(rig.run("held", keeping=keep))
    task_id = json.loads(await place)["task"]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert state_of(agent, task_id) == "working"
    second = asyncio.create_task(rig.run("held", steps=attached_to(task_id)))
    await asyncio.to_thread(wait_until, lambda: rig.text == "It ", "another executor attaches")
    second.cancel(CANCEL_REQUESTED)
    await asyncio.gather(second, return_exceptions=True)
    assert state_of(agent, task_id) == "canceled"
