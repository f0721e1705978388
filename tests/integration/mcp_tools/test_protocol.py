"""The client keeps to the protocol, and bears what the protocol allows a server."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.responses import JSONResponse, Response

from tests.integration.mcp_tools.mcp_run import ECHO, McpRun, entry
from tests.mcp_server.scripted import (
    TOOLS,
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


ALIVE = [
    "event: ping\ndata: 2026-11-29 14:00:00.000000+00:00\n\n",
    "event: keepalive\ndata: {}\n\n",
    "event: ping\n\n",
    "data: ping\n\n",
    "data:\n\n",
    'data: {"type":"heartbeat"}\n\n',
    "id: \u540d\nretry: " + "9" * 400 + "\n\n",
    "event: endpoint\ndata: /messages/?session_id=1\n\n",
    "\ufeff: a byte order mark\n\n",
]


@pytest.mark.parametrize("alive", ALIVE)
@pytest.mark.parametrize("method", ["initialize", "tools/list", "tools/call"])
async def test_what_keeps_a_stream_alive_is_no_answer(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, method: str, alive: str
) -> None:
    results = {
        "initialize": {"protocolVersion": "2025-11-25"},
        "tools/list": {"tools": TOOLS},
        "tools/call": {"content": [{"type": "text", "text": "late"}]},
    }
    server.answers[method] = lambda asked: stream(
        alive, alive, frame(asked.result(results[method]), event="message"), alive
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert [outcome for outcome, _ in came.results] == ["success"]
    assert caplog.messages == []


@pytest.mark.parametrize("event_id", ["名", "é", "a\x01b"])
async def test_an_event_id_that_fits_into_no_header_is_not_sent_back(
    server: ScriptedServer, event_id: str
) -> None:
    server.answers["tools/call"] = lambda _: stream(f"id: {event_id}\ndata:\n\n")
    came = await McpRun(entry(server)).run(ECHO)
    told = "The tool's server has broken off before its answer; it may have made the call."
    assert came.results == [("failed", told)]
    assert "GET" not in server.names()


async def test_a_refusal_may_come_as_an_event_of_that_name(server: ScriptedServer) -> None:
    server.answers["tools/call"] = lambda asked: stream(
        frame(asked.error(-32603, "Out of order."), event="error")
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("failed", "The tool's server has refused the request: Out of order.")]


@pytest.mark.parametrize("charset", ["latin-1", "utf-7", "unicode_escape", "idna", "none"])
async def test_a_stream_is_utf8_whatever_it_says(server: ScriptedServer, charset: str) -> None:
    def answer(asked: Asked) -> Response:
        message = asked.result({"content": [{"type": "text", "text": "größe"}]})
        body = f"data: {json.dumps(message, ensure_ascii=False)}\n\n".encode()
        return Response(body, headers={"content-type": f"text/event-stream; charset={charset}"})

    server.answers["tools/call"] = answer
    assert (await McpRun(entry(server)).run(ECHO)).results == [("success", "größe")]


@pytest.mark.parametrize("kind", ["application/json", "application/json-rpc", "text/json"])
@pytest.mark.parametrize("odd_id", ["as text", 3.0])
async def test_an_answer_may_be_named_in_other_ways(
    server: ScriptedServer, kind: str, odd_id: object
) -> None:
    unhashable: list[object] = [[], {}, [3]]
    others = [{"id": other, "result": {}} for other in unhashable]

    def answer(asked: Asked) -> Response:
        content = asked.result({"content": [{"type": "text", "text": "found"}]})
        given = str(content["id"]) if isinstance(odd_id, str) else float(content["id"])
        body = json.dumps([*others, content | {"id": given}])
        return Response(body, media_type=kind)

    server.answers["tools/call"] = answer
    assert (await McpRun(entry(server)).run(ECHO)).results == [("success", "found")]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'"half \ud83d"', "half \ufffd"),
        (r'"whole \ud83d\ude00"', "whole \U0001f600"),
        (r'"escaped \\ud83d \udead"', "escaped \\ud83d \ufffd"),
        ('"NaN"', "NaN"),
    ],
)
async def test_json_that_strict_readers_refuse_is_read(
    server: ScriptedServer, written: str, read: str
) -> None:
    def answer(asked: Asked) -> Response:
        body = json.dumps(asked.result({"content": [{"type": "text", "text": "TEXT"}], "n": "N"}))
        body = "\ufeff" + body.replace('"TEXT"', written).replace('"N"', "[NaN, -Infinity, 1e999]")
        return Response(body, media_type="application/json")

    server.answers["tools/call"] = answer
    assert (await McpRun(entry(server)).run(ECHO)).results == [("success", read)]


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
    assert came.results == [("success", "The tool has returned nothing.")]
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
