"""The client keeps to the protocol, and bears what the protocol allows a server."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.responses import JSONResponse, Response

from tests.integration.mcp_tools.mcp_run import ECHO, McpRun, entry
from tests.mcp_server.scripted import (
    Asked,
    ScriptedServer,
    frame,
    initialized_as,
    stream,
    text,
)

pytestmark = pytest.mark.anyio


async def test_an_answer_may_come_after_other_messages_in_a_stream(server: ScriptedServer) -> None:
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
    server.answers["tools/call"] = lambda asked: stream(
        frame(progress),
        "event: unheard of\ndata: {}\n\n",
        frame(asked.result({"content": [{"type": "text", "text": "late"}]})),
        asked.disconnected,
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("success", "late")]


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list"])
async def test_what_a_server_asks_of_us_is_refused(server: ScriptedServer, method: str) -> None:
    request = {"jsonrpc": "2.0", "id": "theirs", "method": method, "params": {}}

    def answer(asked: Asked) -> Response:
        async def replied() -> None:
            await asyncio.to_thread(server.first, "reply")

        refused = asked.result({"content": [{"type": "text", "text": "Then not."}]})
        return stream(frame(request), replied, frame(refused))

    server.answers["tools/call"] = answer
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("success", "Then not.")]
    reply = server.first("reply").message
    assert (reply["id"], reply["error"]["code"]) == ("theirs", -32601)
    assert server.first("initialize").message["params"]["capabilities"] == {}


async def test_a_server_learns_that_we_are_there(server: ScriptedServer) -> None:
    ping = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
    server.answers["tools/call"] = lambda asked: stream(frame(ping), frame(asked.result({})))
    await McpRun(entry(server)).run(ECHO)
    assert server.first("reply").message == {"jsonrpc": "2.0", "id": 7, "result": {}}


async def dies() -> None:
    raise ConnectionError


@pytest.mark.parametrize("ending", [(), (dies,)], ids=["closed", "broken"])
async def test_a_stream_that_breaks_off_is_taken_up_again(
    server: ScriptedServer, ending: tuple[Callable[[], Awaitable[object]], ...]
) -> None:
    calls: list[Asked] = []

    def breaks_off(asked: Asked) -> Response:
        calls.append(asked)
        return stream("id: 7\nretry: 1\ndata:\n\n", *ending)

    def goes_on(asked: Asked) -> Response:
        if asked.headers["last-event-id"] == "7":
            return stream("id: 8\ndata:\n\n")
        return stream(frame(calls[0].result({"content": [{"type": "text", "text": "on"}]}), id="9"))

    server.answers |= {"tools/call": breaks_off, "GET": goes_on}
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("success", "on")]
    cursors = [asked.headers["last-event-id"] for asked in server.asked if asked.verb == "GET"]
    assert cursors == ["7", "8"]
    assert len(calls) == 1


async def test_each_request_names_session_and_revision_until_the_end(
    server: ScriptedServer,
) -> None:
    await McpRun(entry(server)).run(ECHO)
    sent = ["initialize", "notifications/initialized", "tools/list", "tools/call", "DELETE"]
    assert server.names() == sent
    first, *others = server.asked
    assert "mcp-session-id" not in first.headers
    for asked in others:
        assert asked.headers["mcp-session-id"] == "session-1"
        assert asked.headers["mcp-protocol-version"] == "2025-11-25"
    for asked in server.asked[:-1]:
        assert asked.headers["accept"] == "application/json, text/event-stream"


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18"])
async def test_an_older_server_without_sessions_is_understood(
    server: ScriptedServer, version: str
) -> None:
    server.answers["initialize"] = initialized_as(version)
    # That revision allowed several messages at once.
    server.answers["tools/call"] = lambda asked: JSONResponse([asked.result({"content": []})])
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("success", "")]
    assert server.names()[-1] == "tools/call"
    assert server.asked[-1].headers["mcp-protocol-version"] == version
    assert "mcp-session-id" not in server.asked[-1].headers


async def test_a_lost_session_is_renewed_once_for_all_calls(server: ScriptedServer) -> None:
    def initialize(asked: Asked) -> Response:
        number = server.names().count("initialize")
        result = {"protocolVersion": "2025-11-25"}
        return JSONResponse(asked.result(result), headers={"mcp-session-id": f"session-{number}"})

    def call(asked: Asked) -> Response:
        if asked.headers["mcp-session-id"] == "session-1":
            return Response(status_code=404)
        return text(asked, "found")

    server.answers |= {"initialize": initialize, "tools/call": call}
    came = await McpRun(entry(server)).run(ECHO, ("ping", {}))
    assert came.results == [("success", "found")] * 2
    assert server.names().count("initialize") == 2


async def test_a_session_that_is_lost_again_fails_the_call_only(server: ScriptedServer) -> None:
    server.answers["tools/call"] = lambda _: Response(status_code=404)
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("failed", "The tool's server does not keep its sessions.")]
