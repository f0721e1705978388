"""The ids of calls: what a user sees of them, and what goes back: `docs/models.md`."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.events import ToolEnd, ToolStart
from agentrun.domain.turns import Resumption, TurnPaused
from tests.bedrock import BedrockServer, Reply, Text, ToolUse
from tests.bedrock.engine_run import Runner
from tests.bedrock.sent import calls_in, results_in, sent

pytestmark = pytest.mark.anyio

MODEL = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
ADD = ToolUse("t1", "add", {"left": 1, "right": 2})
DONE = Reply(Text("It is 3."))


@pytest.fixture
async def runner(bedrock: BedrockServer, tmp_path: Path) -> AsyncIterator[Runner]:
    async with Runner(tmp_path, MODEL) as runner:
        yield runner


async def test_one_id_in_two_answers_names_two_calls(
    bedrock: BedrockServer, runner: Runner
) -> None:
    bedrock.script(Reply(ADD), Reply(ADD), DONE)
    run = await runner.run()
    assert run.error is None
    ids = [event.id for event in run.events if isinstance(event, ToolStart | ToolEnd)]
    assert ids == ["t1", "t1", "t1-2", "t1-2"]
    assert [call["toolUseId"] for call in calls_in(sent(bedrock))] == ["t1", "t1-2"]


async def test_one_id_in_one_answer_names_two_calls(bedrock: BedrockServer, runner: Runner) -> None:
    other = ToolUse("t1", "add", {"left": 5, "right": 5})
    bedrock.script(Reply(ADD, other), DONE)
    run = await runner.run()
    assert run.error is None
    ends = {event.id: event.result for event in run.events if isinstance(event, ToolEnd)}
    assert ends == {"t1": 3, "t1-2": 10}
    results = {result["toolUseId"]: result["content"] for result in results_in(sent(bedrock))}
    assert results == {"t1": [{"text": "3"}], "t1-2": [{"text": "10"}]}


async def test_a_call_that_waits_is_not_shown_as_failed_because_of_its_id(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(Reply(ToolUse("t1", "whose", {})), Reply(ADD), DONE)
    async with Runner(tmp_path, MODEL, "approval: [add]") as runner:
        run = await runner.run()
        assert isinstance(run.ending, TurnPaused)
        (waiting,) = run.ending.pending
        assert [event.event for event in run.events] == ["TOOL_START", "TOOL_END"]
        assert waiting.id == "t1-2"
        decision = Decision(id=waiting.id, action=ApprovalAction.APPROVE)
        following = await runner.run(
            resumption=Resumption(state=run.ending.state, decisions=(decision,))
        )
    assert following.error is None
    assert [event.id for event in following.events[:2]] == ["t1-2", "t1-2"]
    assert [call["toolUseId"] for call in calls_in(sent(bedrock))] == ["t1", "t1-2"]


@pytest.mark.parametrize(
    ("call_id", "shown"),
    [
        ("functions.add:0", "functions.add:0"),
        ("", r".+"),
        (" ", " "),
        ("é" * 70, "é" * 70),
        ("x" * 1_000, r"x{239}-[0-9a-f]{16}"),
        ("a\ud83d", "a\ufffd"),
    ],
)
async def test_an_id_is_shown_as_it_came_and_goes_back_as_the_provider_wants_it(
    bedrock: BedrockServer, runner: Runner, call_id: str, shown: str
) -> None:
    bedrock.script(Reply(ToolUse(call_id, "add", {"left": 1, "right": 2})), DONE)
    run = await runner.run()
    assert run.error is None
    started, ended = run.events[:2]
    assert re.fullmatch(shown, started.id)
    assert ended.id == started.id
    (call,) = calls_in(sent(bedrock))
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["toolUseId"])
    assert [result["toolUseId"] for result in results_in(sent(bedrock))] == [call["toolUseId"]]


async def test_kimi_on_bedrock_gets_its_own_ids_back(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    call = ToolUse("functions.add:0", "add", {"left": 1, "right": 2})
    bedrock.script(Reply(call), Reply(call), DONE)
    async with Runner(tmp_path, "bedrock:moonshot.kimi-k2-thinking") as runner:
        run = await runner.run()
    assert run.error is None
    ids = ["functions.add:0", "functions.add:1"]
    assert [event.id for event in run.events if isinstance(event, ToolStart)] == ids
    assert [call["toolUseId"] for call in calls_in(sent(bedrock))] == ids
