"""What a call gives, whatever its server does."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent_catalog.binding.tool import MAX_RESULT_BYTES
from agent_catalog.mcp.transport import MAX_MESSAGE_BYTES
from agent_catalog.toolkit import Session
from agentrun.domain.errors import MayNotActError
from tests.http_server import answering, send, served
from tests.integration.mcp_tools.mcp_run import ECHO, McpRun, entry
from tests.mcp_server.scripted import (
    Answer,
    Asked,
    ScriptedServer,
    hangs,
    stream,
    text,
    tool,
)

pytestmark = pytest.mark.anyio

Log = pytest.LogCaptureFixture


def too_large(asked: Asked) -> Response:
    return text(asked, "x" * (MAX_MESSAGE_BYTES + 1))


EVENTS = "text/event-stream"
IN_DOUBT = "; it may have made the call"
FAILED: list[tuple[Answer, str]] = [
    (
        lambda asked: JSONResponse(asked.error(-32602, "Unknown tool: echo.")),
        "The tool's server has refused the request: Unknown tool: echo.",
    ),
    (
        lambda _: JSONResponse({"error": {"code": 1, "message": "Busy."}}, status_code=429),
        "The tool's server has refused the request: Busy.",
    ),
    (lambda _: Response(status_code=401), "The tool's server has answered with the status 401."),
    (
        lambda _: Response(status_code=500),
        f"The tool's server has answered with the status 500{IN_DOUBT}.",
    ),
    (
        lambda _: Response("<html>"),
        f"The tool's server has answered with neither a message nor a stream of them{IN_DOUBT}.",
    ),
    (
        lambda asked: JSONResponse(asked.result(None)),
        f"The tool's server has given an answer that is not one{IN_DOUBT}.",
    ),
    (
        lambda asked: JSONResponse(asked.error(-32603, None)),  # type: ignore[arg-type]
        "The tool's server has refused the request: no reason given.",
    ),
    (
        lambda asked: JSONResponse(asked.result(None) | {"error": "Out of order."}),
        "The tool's server has refused the request: Out of order.",
    ),
    (
        lambda asked: JSONResponse(
            {"jsonrpc": "2.0", "id": None, "error": {"message": "Unreadable"}}
        ),
        "The tool's server has refused the request: Unreadable.",
    ),
    (
        lambda _: Response("{" * 300, media_type="application/json"),
        f"The tool's server has answered with something that is not JSON{IN_DOUBT}.",
    ),
    (
        lambda _: JSONResponse({"jsonrpc": "2.0", "id": 4711, "result": {}}),
        f"The tool's server has answered with neither a message nor a stream of them{IN_DOUBT}.",
    ),
    (
        lambda _: stream(": nothing\n\n"),
        f"The tool's server has broken off before its answer{IN_DOUBT}.",
    ),
    (
        lambda _: RedirectResponse("https://elsewhere.example/mcp"),
        "The tool's server redirects to another address, which is not followed.",
    ),
    (hangs, f"The tool's server has not answered within 0.3 s{IN_DOUBT}."),
    (
        lambda asked: stream(": still there\n\n", asked.disconnected),
        f"The tool's server has not answered within 0.3 s{IN_DOUBT}.",
    ),
    (too_large, f"The tool's server has sent a message of more than 4 MB{IN_DOUBT}."),
    (
        lambda _: stream("data: " + "x" * (MAX_MESSAGE_BYTES + 1)),
        f"The tool's server has sent a message of more than 4 MB{IN_DOUBT}.",
    ),
]


@pytest.mark.parametrize(("answer", "error"), FAILED)
async def test_a_server_that_fails_at_a_call_fails_the_call_only(
    server: ScriptedServer, caplog: Log, answer: Answer, error: str
) -> None:
    server.answers["tools/call"] = answer
    timeout_s = 0.3 if "within" in error else 5
    came = await McpRun(entry(server, timeout_s=timeout_s)).run(ECHO)
    assert came.results == [("failed", error)]
    assert came.output == "done"
    (line,) = (line for line in caplog.messages if "MCP" in line)
    assert line.endswith("(tool echo)")


async def test_a_connection_that_breaks_fails_the_call_only(server: ScriptedServer) -> None:
    async def dies() -> None:
        raise ConnectionError

    server.answers["tools/call"] = lambda _: stream(": still there\n\n", dies)
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [
        ("failed", f"The tool's server has broken off the connection{IN_DOUBT}.")
    ]


async def test_a_result_that_is_not_as_its_tool_has_said_is_shown_as_it_came(
    server: ScriptedServer, caplog: Log
) -> None:
    """The tool has done its work: a failed call would be made again."""
    exact = {
        "type": "object",
        "properties": {"id": {"type": "number"}, "fee": {"type": "number"}},
        "required": ["id", "fee"],
        "additionalProperties": False,
    }
    server.tools = (tool("echo", outputSchema=exact), tool("ping"))
    paid = {"id": 7, "note": "Thanks."}
    server.answers["tools/call"] = lambda asked: text(
        asked, json.dumps(paid), structuredContent=paid
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("success", paid)]
    assert server.names().count("tools/call") == 1
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (404, "does not keep its sessions"),
        (400, "has answered with the status 400"),
        (503, "has answered with the status 503"),
    ],
)
async def test_a_call_is_not_made_again_if_it_was_taken_and_its_answer_is_lost(
    server: ScriptedServer, status: int, why: str
) -> None:
    server.answers["tools/call"] = lambda _: stream("id: 1\nretry: 1\ndata:\n\n")
    refused = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "No."}}
    server.answers["GET"] = lambda _: JSONResponse(refused, status_code=status)
    came = await McpRun(entry(server)).run(ECHO)
    assert server.names().count("tools/call") == 1
    told = f"The tool's server has taken the request, and now it {why}{IN_DOUBT}."
    assert came.results == [("failed", told)]


async def test_a_server_that_goes_away_may_have_made_the_call_that_it_has_taken() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        if asked["method"] == "tools/call":
            gone.socket.close()
            send(handler, 200, b"id: 1\nretry: 1\ndata:\n\n", **{"Content-Type": EVENTS})
            return
        version = {"protocolVersion": "2025-11-25", "tools": [tool("echo"), tool("ping")]}
        result = {"jsonrpc": "2.0", "id": asked.get("id"), "result": version}
        send(handler, 200, json.dumps(result).encode(), **{"Content-Type": "application/json"})

    gone = answering(answer)
    with served(gone) as url:
        came = await McpRun(entry(ScriptedServer(f"{url}/mcp"))).run(ECHO)
    told = f"The tool's server has taken the request, and now it cannot be reached{IN_DOUBT}."
    assert came.results == [("failed", told)]


async def test_a_tool_says_itself_why_it_failed(server: ScriptedServer, caplog: Log) -> None:
    server.answers["tools/call"] = lambda asked: text(
        asked, "There is no such page.", isError=True, structuredContent={"code": 7}
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("failed", "There is no such page.")]
    assert caplog.messages == []


@pytest.mark.parametrize("failed", [False, True])
async def test_a_large_result_is_cut(server: ScriptedServer, failed: bool) -> None:
    server.answers["tools/call"] = lambda asked: text(asked, "x" * 100_000, isError=failed)
    came = await McpRun(entry(server)).run(ECHO)
    ((_, content),) = came.results
    assert isinstance(content, str)
    assert content.startswith("x" * MAX_RESULT_BYTES + " … [cut")
    assert len(content) < MAX_RESULT_BYTES + 100


async def test_an_argument_that_json_does_not_have_is_null(server: ScriptedServer) -> None:
    came = await McpRun(entry(server)).run(("echo", {"value": float("nan")}))
    assert came.results == [("success", '{"value": null}')]


async def test_other_tools_may_ask_for_what_a_call_gave(server: ScriptedServer) -> None:
    run = McpRun(entry(server))
    await run.run(ECHO)
    assert run.session.results.of("echo") == ('{"text": "hi"}',)


async def test_calls_go_on_side_by_side(server: ScriptedServer) -> None:
    both = asyncio.Event()

    async def call(asked: Asked) -> Response:
        if server.names().count("tools/call") == 2:
            both.set()
        await both.wait()
        return text(asked, asked.message["params"]["name"])

    server.answers["tools/call"] = call
    came = await McpRun(entry(server)).run(ECHO, ("ping", {}))
    assert sorted(map(str, came.results)) == ["('success', 'echo')", "('success', 'ping')"]


async def test_a_call_that_takes_too_long_is_cancelled_there(server: ScriptedServer) -> None:
    server.answers["tools/call"] = hangs
    await McpRun(entry(server, timeout_s=1)).run(ECHO)
    number = server.first("tools/call").message["id"]
    cancelled = server.first("notifications/cancelled").message["params"]
    assert cancelled == {"requestId": number}


@pytest.mark.parametrize("let", [0, 1])
async def test_a_call_that_may_not_begin_is_not_sent(server: ScriptedServer, let: int) -> None:
    """Nor is it sent again in a new session, the first one having been lost."""
    asked: list[int] = []

    def before_tool() -> None:
        asked.append(1)
        if len(asked) > let:
            raise MayNotActError

    server.answers["tools/call"] = lambda _: Response(status_code=404)
    run = McpRun(entry(server))
    run.session = Session("acme", "ana", "session-1", before_tool=before_tool)
    with pytest.raises(MayNotActError):
        await run.run(ECHO)
    assert server.names().count("tools/call") == let


@pytest.mark.parametrize("replay", ["idempotent", "safe", "never"])
async def test_a_server_is_told_the_calls_id_where_it_is_to_know_it(
    server: ScriptedServer, replay: str
) -> None:
    run = McpRun(entry(server, replay={"echo": replay}))
    run.session = Session("acme", "ana", "session-1", run_id="run-1")
    await run.run(ECHO)
    meta = server.first("tools/call").message["params"].get("_meta")
    assert meta == ({"agentrun/callId": "run-1/call-0"} if replay == "idempotent" else None)
