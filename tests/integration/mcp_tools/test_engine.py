"""MCP tools through the engine: an agent's file goes in, the run's own events come out."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.models.function import FunctionModel, StreamFunctionDef
from starlette.responses import Response

from agent_catalog import CatalogError
from agent_catalog.running.history import loaded
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import ContentDelta, EngineEvent, ToolEnd, ToolError, ToolStart
from agentrun.domain.turns import Resumption
from tests.fakes.engine_outputs import outputs_of
from tests.mcp_server.scripted import Asked, ScriptedServer, hangs, text, tool
from tests.unit.agent_catalog.conftest import Rig, calling

pytestmark = pytest.mark.anyio

ECHO = calling(("echo", {"text": "hi"}))


class Engine:
    """The sample agent, with a server in its file."""

    def __init__(
        self,
        folder: Path,
        server: ScriptedServer,
        *,
        calls: StreamFunctionDef = ECHO,
        **fields: Any,
    ) -> None:
        entry = {"url": server.url, "tools": ["echo", "ping"], "timeout_s": 5} | fields
        more = f"mcp: {json.dumps([entry])}\n"
        self.rig = Rig(folder, FunctionModel(stream_function=calls), more)

    async def run(self, **fields: Any) -> list[EngineEvent]:
        """Return what a run says of its tools, and its text."""
        shown = (ToolStart, ToolEnd, ToolError, ContentDelta)
        return [event for event in await self.rig.run(**fields) if isinstance(event, shown)]

    async def resume(self, action: ApprovalAction) -> list[EngineEvent]:
        """Decide the call that the last run waits for, and go on."""
        paused = self.rig.paused
        decisions = tuple(Decision(id=call.id, action=action) for call in paused.pending)
        return await self.run(resumption=Resumption(state=paused.state, decisions=decisions))


START = ToolStart(id="call-0", name="echo", arguments={"text": "hi"})
END = ToolEnd(id="call-0", name="echo", result='{"text": "hi"}')
DONE = ContentDelta(text="done")


async def test_a_call_starts_and_ends(tmp_path: Path, server: ScriptedServer) -> None:
    engine = Engine(tmp_path, server)
    assert await engine.run() == [START, END, DONE]
    assert engine.rig.ended
    assert server.names()[-1] == "DELETE"


async def test_a_call_that_fails_is_an_error_of_the_tool_only(
    tmp_path: Path, server: ScriptedServer
) -> None:
    server.answers["tools/call"] = lambda asked: text(asked, "No such page.", isError=True)
    error = ToolError(id="call-0", name="echo", error="No such page.")
    engine = Engine(tmp_path, server)
    assert await engine.run() == [START, error, DONE]
    assert engine.rig.error is None


async def test_a_server_that_is_down_does_not_fail_the_run(
    tmp_path: Path, server: ScriptedServer
) -> None:
    server.answers["initialize"] = lambda _: Response(status_code=503)
    engine = Engine(tmp_path, server)
    start, error, done = await engine.run()
    assert (start, done) == (START, DONE)
    assert isinstance(error, ToolError)
    assert error.error.startswith("Unknown tool name: 'echo'.")
    assert engine.rig.ended


async def test_an_approved_call_starts_only_then(tmp_path: Path, server: ScriptedServer) -> None:
    engine = Engine(tmp_path, server, approval=["echo"])
    assert await engine.run() == []
    assert [call.tool for call in engine.rig.paused.pending] == ["echo"]
    assert "tools/call" not in server.names()
    assert await engine.resume(ApprovalAction.APPROVE) == [START, END, DONE]


async def test_an_approved_call_reaches_the_server_by_its_own_names(
    tmp_path: Path, server: ScriptedServer
) -> None:
    properties = {"$filter": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "anyOf": [{"required": ["$filter"]}]}
    server.tools = (tool("echo", inputSchema=schema), tool("ping"))
    called = {"arguments": {"filter": "a"}}
    engine = Engine(tmp_path, server, approval=["echo"], calls=calling(("echo", called)))
    await engine.run()
    assert [call.arguments for call in engine.rig.paused.pending] == [called]
    assert await engine.resume(ApprovalAction.APPROVE) == [
        ToolStart(id="call-0", name="echo", arguments=called),
        ToolEnd(id="call-0", name="echo", result='{"$filter": "a"}'),
        DONE,
    ]


async def test_a_rejected_call_never_reaches_the_server(
    tmp_path: Path, server: ScriptedServer
) -> None:
    engine = Engine(tmp_path, server, approval=["echo"])
    await engine.run()
    error, done = await engine.resume(ApprovalAction.REJECT)
    assert isinstance(error, ToolError)
    assert done == DONE
    assert "tools/call" not in server.names()


async def test_a_pause_is_not_lost_while_the_server_is_down(
    tmp_path: Path, server: ScriptedServer
) -> None:
    engine = Engine(tmp_path, server, approval=["echo"])
    await engine.run()
    paused = engine.rig.paused
    server.answers["initialize"] = lambda _: Response(status_code=503)
    assert await engine.resume(ApprovalAction.APPROVE) == []
    assert isinstance(engine.rig.error, CannotResumeError)
    assert "tools/call" not in server.names()
    server.reset()
    engine.rig.ending = paused
    assert await engine.resume(ApprovalAction.APPROVE) == [START, END, DONE]


async def test_a_run_that_is_closed_ends_its_session(
    tmp_path: Path, server: ScriptedServer
) -> None:
    server.answers["tools/call"] = hangs
    rig = Engine(tmp_path, server, timeout_s=60).rig
    async with aclosing(outputs_of(rig.engine, rig.task("go"))) as outputs:
        async for output in outputs:
            if isinstance(output, ToolStart):
                break
        await asyncio.to_thread(server.first, "tools/call")
    assert server.names()[-2:] == ["notifications/cancelled", "DELETE"]


async def test_runs_at_the_same_time_have_sessions_of_their_own(
    tmp_path: Path, server: ScriptedServer
) -> None:
    async def call(asked: Asked) -> Response:
        if server.names().count("tools/call") == 1:
            await asyncio.to_thread(server.first, "DELETE")
        return text(asked, '{"text": "hi"}')

    server.answers["tools/call"] = call
    engine = Engine(tmp_path, server)
    first = asyncio.create_task(engine.run())
    await asyncio.to_thread(server.first, "tools/call")
    assert await engine.run() == [START, END, DONE]
    assert await first == [START, END, DONE]
    assert server.names().count("initialize") == server.names().count("DELETE") == 2


async def test_callers_are_told_of_the_tools(tmp_path: Path, server: ScriptedServer) -> None:
    agent = Engine(tmp_path, server, approval=["ping"]).rig.catalog.agent("sample")
    listed = {tool.name: tool.requires_approval for tool in agent.tools}
    assert (listed["echo"], listed["ping"]) == (False, True)
    assert server.asked == []


async def test_names_that_clash_stop_the_service(tmp_path: Path, server: ScriptedServer) -> None:
    with pytest.raises(CatalogError, match=r"sample.yaml:\d+: mcp.0: 'add' appears twice"):
        Engine(tmp_path, server, tools=["echo", "add"])


@pytest.mark.parametrize("levels", [60, 195])
async def test_a_result_is_never_too_deep_for_the_conversation_that_keeps_it(
    tmp_path: Path, server: ScriptedServer, levels: int
) -> None:
    nested = "[" * levels + "]" * levels
    server.answers["tools/call"] = lambda asked: Response(
        f'{{"id": {asked.message["id"]}, "result": {{"structuredContent": {nested}}}}}',
        media_type="application/json",
    )
    engine = Engine(tmp_path, server)
    (_, end, _) = await engine.run()
    assert isinstance(end, ToolEnd)
    assert end.result == (json.loads(nested) if levels == 60 else nested)
    kept = engine.rig.ended.messages
    assert kept is not None
    assert nested in str(loaded(kept)).replace(" ", "")
