"""A conversation with calls in it goes on at Bedrock once the server of its tools is down."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import ToolEnd, ToolError
from agentrun.domain.turns import Resumption, TurnEnded, TurnPaused
from tests.bedrock import BedrockServer, Reply, Text, ToolUse
from tests.bedrock.engine_run import Runner
from tests.bedrock.sent import calls_in, sent
from tests.mcp_server.scripted import ScriptedServer
from tests.runs import AT

pytestmark = pytest.mark.anyio

MODEL = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
ECHO = ToolUse("t1", "echo", {"text": "hi"})
DONE = Reply(Text("done"))


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return an address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/mcp"


def agent(url: str, more: str = "") -> str:
    """Write an agent down whose only tool is the server's."""
    return f"name: Sample\ndescription: Echoes.\nmcp:\n  - {{url: '{url}', tools: [echo]{more}}}\n"


async def test_a_later_turn_goes_on_without_the_tools(
    bedrock: BedrockServer, server: ScriptedServer, nobody: str, tmp_path: Path
) -> None:
    bedrock.script(Reply(ECHO), DONE, Reply(ECHO), DONE)
    async with Runner(tmp_path, MODEL, agent=agent(server.url)) as runner:
        run = await runner.run()
    assert [type(event) for event in run.events[1:2]] == [ToolEnd]
    assert isinstance(run.ending, TurnEnded)
    turn = PastTurn(
        run_id="run-0",
        input="go",
        output=run.text,
        messages=run.ending.messages,
        created_at=AT,
        updated_at=AT,
    )
    async with Runner(tmp_path, MODEL, agent=agent(nobody)) as runner:
        # Its model calls the tool nevertheless.
        run = await runner.run(message="and?", history=(turn,))
    assert run.error is None
    assert isinstance(run.events[1], ToolError)
    assert (run.text, bedrock.refused) == ("done", [])
    assert calls_in(sent(bedrock)) == []


async def test_a_rejected_call_of_a_server_that_is_down_lets_the_run_go_on(
    bedrock: BedrockServer, server: ScriptedServer, nobody: str, tmp_path: Path
) -> None:
    bedrock.script(Reply(Text("\n"), ECHO), DONE)
    async with Runner(tmp_path, MODEL, agent=agent(server.url, ", approval: [echo]")) as runner:
        run = await runner.run()
    assert isinstance(run.ending, TurnPaused)
    decision = Decision(id="t1", action=ApprovalAction.REJECT, reason="Not now.")
    resumption = Resumption(state=run.ending.state, decisions=(decision,))
    async with Runner(tmp_path, MODEL, agent=agent(nobody, ", approval: [echo]")) as runner:
        run = await runner.run(resumption=resumption)
    assert run.error is None
    assert isinstance(run.events[0], ToolError)
    assert (run.text, bedrock.refused) == ("done", [])
    assert calls_in(sent(bedrock)) == []
