"""Approvals, secrets, and how a run ends."""

import asyncio
import json
import logging

import pytest
from pydantic_ai import DeferredToolRequests, ToolDenied
from starlette.responses import JSONResponse, Response

from tests.integration.mcp_tools.mcp_run import ECHO, McpRun, entry
from tests.mcp_server.scripted import (
    Asked,
    ScriptedServer,
    hangs,
    text,
    tool,
)

pytestmark = pytest.mark.anyio

SECRET = "hunter2/is-the-secret"
Log = pytest.LogCaptureFixture


async def test_secrets_reach_the_server_and_nobody_else(
    server: ScriptedServer, caplog: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TOKEN", f" {SECRET}\n")
    server.tools = (tool("echo", description=f"Knows {SECRET}."), tool("ping"))

    def tells(asked: Asked) -> Response:
        if asked.message["params"]["name"] == "ping":
            return JSONResponse(asked.error(-1, f"{asked.headers['authorization']} is wrong."))
        # As some libraries escape it.
        headers = json.dumps(asked.headers).replace("/", "\\/")
        content = asked.result({"content": [], "structuredContent": {SECRET: "HEADERS"}})
        body = json.dumps(content).replace('"HEADERS"', headers)
        return Response(body, media_type="application/json")

    server.answers["tools/call"] = tells
    headers = {"Authorization": "Bearer ${TOKEN}", "X-Api-Key": "${TOKEN}"}
    came = await McpRun(entry(server, headers=headers)).run(ECHO, ("ping", {}))
    for asked in server.asked:
        assert asked.headers["authorization"] == f"Bearer {SECRET}"
        assert asked.headers["x-api-key"] == SECRET
    assert sorted(outcome for outcome, _ in came.results) == ["failed", "success"]
    assert "[secret]" in str(came.results)
    assert SECRET not in f"{came}{caplog.text}"


async def test_what_a_server_quotes_of_a_call_is_for_the_model_and_not_for_the_log(
    server: ScriptedServer, caplog: Log
) -> None:
    server.answers["tools/call"] = lambda asked: JSONResponse(
        asked.error(-32602, f"Cannot echo {asked.message['params']['arguments']['text']}.")
    )
    came = await McpRun(entry(server)).run(("echo", {"text": "private"}))
    assert "Cannot echo private" in str(came.results)
    assert "has refused the request (tool echo)" in caplog.text
    assert "private" not in caplog.text


async def test_a_secret_that_cannot_be_read_takes_the_tools_of_its_servers_only(
    server: ScriptedServer, other: ScriptedServer, caplog: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:agents-abcdef"
    monkeypatch.setenv("AGENTRUN_SECRETS_ARN", arn)
    # Nothing listens there.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    secured = entry(server, headers={"X-Api-Key": "${TOKEN}"})
    came = await McpRun(secured, entry(other, prefix="open")).run()
    assert came.names() == ["open_echo", "open_ping"]
    assert server.asked == []
    assert "are absent: the secret cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("value", "reason"), [("", "is not set"), ("grün", "does not fit into a header")]
)
async def test_without_its_secret_a_server_is_not_even_asked(
    server: ScriptedServer,
    caplog: Log,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    reason: str,
) -> None:
    monkeypatch.setenv("TOKEN", value)
    came = await McpRun(entry(server, headers={"X-Api-Key": "${TOKEN}"})).run()
    assert came.names() == []
    assert server.asked == []
    assert f"are absent: the variable TOKEN {reason}" in caplog.text


async def test_a_tool_that_needs_approval_waits_for_it(server: ScriptedServer) -> None:
    run = McpRun(entry(server, approval=["echo"]))
    came = await run.run(ECHO)
    assert isinstance(came.output, DeferredToolRequests)
    assert [call.tool_name for call in came.output.approvals] == ["echo"]
    assert "tools/call" not in server.names()
    # Nothing is kept open while a human thinks.
    assert server.names()[-1] == "DELETE"
    resumed = await run.resume(echo=True)
    assert resumed.results == [("success", '{"text": "hi"}')]
    assert resumed.output == "done"


async def test_a_tool_that_was_rejected_is_not_called(server: ScriptedServer) -> None:
    run = McpRun(entry(server, approval=["echo"]))
    await run.run(ECHO)
    resumed = await run.resume(echo=ToolDenied("No."))
    assert resumed.results == [("denied", "No.")]
    assert "tools/call" not in server.names()


async def test_an_approved_tool_whose_server_is_gone_fails_and_the_run_goes_on(
    server: ScriptedServer,
) -> None:
    run = McpRun(entry(server, approval=["echo"]))
    await run.run(ECHO)
    server.answers["initialize"] = lambda _: Response(status_code=503)
    resumed = await run.resume(echo=True)
    assert [outcome for outcome, _ in resumed.results] == ["retried"]
    assert resumed.output == "done"


async def test_a_changed_tool_is_seen_by_the_next_run_only(server: ScriptedServer) -> None:
    def call(asked: Asked) -> Response:
        server.tools = (tool("echo", description="Changed."), tool("ping"))
        return text(asked, "called")

    server.answers["tools/call"] = call
    run = McpRun(entry(server))
    came = await run.run(ECHO)
    assert came.tools[0].description == "Does echo."
    assert server.names().count("tools/list") == 1
    assert (await run.run()).tools[0].description == "Changed."


async def test_a_cancelled_run_closes_call_session_and_connections(server: ScriptedServer) -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def call(asked: Asked) -> Response:
        await asked.disconnected()
        loop.call_soon_threadsafe(gone.set)
        return Response()

    server.answers["tools/call"] = call
    run = asyncio.create_task(McpRun(entry(server, timeout_s=60)).run(ECHO))
    await asyncio.to_thread(server.first, "tools/call")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert server.names()[-2:] == ["notifications/cancelled", "DELETE"]
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_run_that_is_cancelled_while_connecting_leaves_nothing_open(
    server: ScriptedServer, other: ScriptedServer
) -> None:
    server.answers["tools/list"] = hangs
    run = asyncio.create_task(
        McpRun(entry(server, timeout_s=60), entry(other, prefix="other")).run(ECHO)
    )
    await asyncio.to_thread(server.first, "tools/list")
    await asyncio.to_thread(other.first, "tools/list")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert server.names()[-1] == other.names()[-1] == "DELETE"


async def test_a_server_that_does_not_let_go_is_not_waited_for_as_long_as_for_a_call(
    server: ScriptedServer,
) -> None:
    server.answers["DELETE"] = hangs
    began = asyncio.get_running_loop().time()
    came = await McpRun(entry(server, timeout_s=60)).run(ECHO)
    assert came.output == "done"
    assert asyncio.get_running_loop().time() - began < 30
