"""Which tools a run has, whatever their servers do while it connects to them."""

import asyncio
import socket
from typing import Any

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from tests.integration.mcp_tools.mcp_run import ECHO, McpRun, entry
from tests.mcp_server.scripted import (
    TOOLS,
    Answer,
    Asked,
    ScriptedServer,
    hangs,
    initialized_as,
    stream,
    text,
    tool,
)

pytestmark = pytest.mark.anyio

SECRET = "hunter2-is-the-secret"
Log = pytest.LogCaptureFixture


async def test_the_model_sees_and_calls_what_the_file_allows(server: ScriptedServer) -> None:
    server.tools = (tool("echo"), tool("drop_all_tables"))
    came = await McpRun(entry(server, "echo")).run(ECHO)
    assert [(tool.name, tool.description) for tool in came.tools] == [("echo", "Does echo.")]
    assert came.tools[0].parameters_json_schema == tool("echo")["inputSchema"]
    assert came.results == [("success", '{"text": "hi"}')]
    assert came.output == "done"


async def test_a_tool_that_is_not_allowed_cannot_be_called(server: ScriptedServer) -> None:
    server.tools = (tool("echo"), tool("drop_all_tables"))
    came = await McpRun(entry(server, "echo")).run(("drop_all_tables", {}))
    assert [outcome for outcome, _ in came.results] == ["retried"]
    assert "tools/call" not in server.names()


async def test_tools_of_the_same_name_are_told_apart_by_a_prefix(
    server: ScriptedServer, other: ScriptedServer
) -> None:
    other.answers["tools/call"] = lambda asked: text(asked, asked.message["params"]["name"])
    came = await McpRun(entry(server), entry(other, "echo", prefix="other")).run(("other_echo", {}))
    assert came.names() == ["echo", "ping", "other_echo"]
    assert came.results == [("success", "echo")]


async def test_a_tool_that_the_server_lacks_is_absent_and_logged(
    server: ScriptedServer, caplog: Log
) -> None:
    came = await McpRun(entry(server, "echo", "fetch")).run(ECHO)
    assert came.names() == ["echo"]
    assert came.results[0][0] == "success"
    assert (
        "The MCP server 127.0.0.1 has no usable tool 'fetch': it is not listed" in caplog.messages
    )


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (tool("echo", inputSchema={"type": "array"}), "its arguments are no object"),
        (tool("echo", inputSchema="text"), "its schema is no object"),
        (tool("echo", description="x" * 66_000), "its definition is larger than 64 KB"),
        (tool("other"), "it is not listed"),
    ],
)
async def test_a_tool_that_no_model_can_be_given_is_absent(
    server: ScriptedServer, caplog: Log, described: dict[str, Any], reason: str
) -> None:
    server.tools = (described, tool("ping"))
    came = await McpRun(entry(server)).run()
    assert came.names() == ["ping"]
    assert f"The MCP server 127.0.0.1 has no usable tool 'echo': {reason}" in caplog.messages


@pytest.mark.parametrize("odd", [{}, None, "echo", [], {"name": ["echo"]}, {"name": None}])
async def test_what_is_no_tool_hides_no_other(server: ScriptedServer, odd: Any) -> None:
    server.tools = (odd, *TOOLS)
    assert (await McpRun(entry(server)).run()).names() == ["echo", "ping"]


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({"description": None, "title": "Echoes"}, "Echoes"),
        ({"description": " ", "annotations": {"title": "Echo it"}}, "Echo it"),
        ({"description": ["a"], "annotations": None}, ""),
    ],
)
async def test_a_tool_without_a_description_is_known_by_its_title(
    server: ScriptedServer, fields: dict[str, Any], description: str
) -> None:
    server.tools = (tool("echo", **fields),)
    came = await McpRun(entry(server, "echo")).run(ECHO)
    assert came.tools[0].description == description
    assert came.results == [("success", '{"text": "hi"}')]


async def test_a_tool_that_is_listed_twice_is_given_once(
    server: ScriptedServer, caplog: Log
) -> None:
    broken = tool("echo", inputSchema={"type": "array"})
    server.tools = (broken, *TOOLS, tool("echo", description="Again."))
    server.answers["tools/list"] = lambda asked: JSONResponse(
        asked.result({"tools": server.tools, "nextCursor": "2"} if not paged(asked) else {})
    )
    came = await McpRun(entry(server, "echo", "ping", "fetch")).run()
    assert [tool.description for tool in came.tools] == ["Does echo.", "Does ping."]
    assert "The MCP server 127.0.0.1 lists the tool 'echo' more than once" in caplog.messages


def paged(asked: Asked) -> bool:
    return "cursor" in asked.message["params"]


@pytest.mark.parametrize("cursor", ["again", "", 7])
async def test_a_page_that_comes_again_is_the_last(
    server: ScriptedServer, caplog: Log, cursor: object
) -> None:
    server.answers["tools/list"] = lambda asked: JSONResponse(
        asked.result({"tools": [tool("echo")], "nextCursor": cursor})
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert came.names() == ["echo"]
    assert came.results[0][0] == "success"
    assert server.names().count("tools/list") == 2
    assert server.asked[3].message["params"] == {"cursor": cursor}
    assert "The MCP server 127.0.0.1 has no usable tool 'ping': it is not listed" in caplog.messages


async def test_pages_are_read_up_to_a_number(server: ScriptedServer) -> None:
    server.answers["tools/list"] = lambda asked: JSONResponse(
        asked.result({"tools": TOOLS[:1], "nextCursor": f"{len(server.asked)}"})
    )
    came = await McpRun(entry(server, timeout_s=60)).run()
    assert came.names() == ["echo"]
    assert server.names().count("tools/list") == 100


@pytest.mark.parametrize("odd", [None, True, {"page": 2}, ["2"], 1.5])
async def test_what_is_no_cursor_names_no_page(server: ScriptedServer, odd: object) -> None:
    server.answers["tools/list"] = lambda asked: JSONResponse(
        asked.result({"tools": TOOLS[:1], "nextCursor": odd})
    )
    assert (await McpRun(entry(server)).run()).names() == ["echo"]
    assert server.names().count("tools/list") == 1


async def test_a_list_that_breaks_off_costs_the_rest_of_it_only(
    server: ScriptedServer, caplog: Log
) -> None:
    server.answers["tools/list"] = lambda asked: (
        Response(status_code=502)
        if paged(asked)
        else JSONResponse(asked.result({"tools": TOOLS[:1], "nextCursor": "2"}))
    )
    came = await McpRun(entry(server)).run(ECHO)
    assert came.results == [("success", '{"text": "hi"}')]
    assert (
        "The MCP server 127.0.0.1 has no usable tool 'ping': the list of tools breaks off, since "
        "the server has answered with the status 502"
    ) in caplog.messages


async def test_all_pages_are_read_until_the_tools_are_found(server: ScriptedServer) -> None:
    pages = {None: ("a", "2"), "2": ("echo", "3"), "3": ("ping", "4"), "4": ("never read", None)}

    def page(asked: Asked) -> Response:
        name, following = pages[asked.message["params"].get("cursor")]
        result = {"tools": [tool(name)]} | ({"nextCursor": following} if following else {})
        return JSONResponse(asked.result(result))

    server.answers["tools/list"] = page
    came = await McpRun(entry(server)).run()
    assert came.names() == ["echo", "ping"]
    assert server.names().count("tools/list") == 3


ABSENT: list[tuple[str, Answer, str]] = [
    ("initialize", lambda _: Response(status_code=401), "has answered with the status 401"),
    ("initialize", lambda _: Response(status_code=503), "has answered with the status 503"),
    ("initialize", lambda _: Response(status_code=404), "has answered with the status 404"),
    ("initialize", lambda _: Response(status_code=202), "has answered with neither a message"),
    ("initialize", lambda _: Response("<html>"), "has answered with neither a message"),
    (
        "initialize",
        lambda _: Response("{", media_type="application/json"),
        "has answered with something that is not JSON",
    ),
    ("initialize", lambda _: JSONResponse([1, None]), "has answered with neither a message"),
    (
        "initialize",
        lambda asked: JSONResponse(asked.result({})),
        "has given an answer of the wrong shape",
    ),
    (
        "initialize",
        lambda asked: JSONResponse(asked.error(-32022, "Newer only."), status_code=400),
        "has refused the request: Newer only",
    ),
    ("initialize", initialized_as("1999-01-01"), "speaks no revision of the protocol"),
    ("initialize", lambda _: stream("data: nonsense\n\n"), "something that is not JSON"),
    ("initialize", lambda _: stream(": nothing\n\n"), "has broken off before its answer"),
    ("initialize", hangs, "has not answered within 0.3 s"),
    ("tools/list", hangs, "has not answered within 0.3 s"),
    (
        "tools/list",
        lambda asked: JSONResponse(asked.error(-32601, "No\ntools.")),
        "has refused the request: No tools",
    ),
    (
        "tools/list",
        lambda asked: JSONResponse(asked.result({"tools": "all"})),
        "has given an answer of the wrong shape",
    ),
    (
        "initialize",
        lambda asked: JSONResponse(asked.result({}), headers={"mcp-session-id": "s\xe9ance"}),
        "names its session by what does not fit into a header",
    ),
]


@pytest.mark.parametrize(("method", "answer", "reason"), ABSENT)
async def test_a_server_that_fails_while_connecting_costs_its_own_tools_only(
    server: ScriptedServer,
    other: ScriptedServer,
    caplog: Log,
    method: str,
    answer: Answer,
    reason: str,
) -> None:
    server.answers[method] = answer
    timeout_s = 0.3 if "within" in reason else 5
    came = await McpRun(entry(server, timeout_s=timeout_s), entry(other, prefix="other")).run()
    assert came.names() == ["other_echo", "other_ping"]
    assert came.output == "done"
    (line,) = (line for line in caplog.messages if "MCP" in line)
    assert line.startswith("The tools of the MCP server 127.0.0.1 are absent: it ")
    assert reason in line


async def test_a_server_that_is_down_costs_its_own_tools_only(
    server: ScriptedServer, caplog: Log
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"
    came = await McpRun(entry(server, url=down, prefix="down"), entry(server)).run(ECHO)
    assert came.names() == ["echo", "ping"]
    assert came.results[0][0] == "success"
    assert "The tools of the MCP server 127.0.0.1 are absent: it cannot be reached" in (
        caplog.messages
    )


async def test_servers_are_connected_to_at_the_same_time(
    server: ScriptedServer, other: ScriptedServer
) -> None:
    async def answers_once_the_other_was_asked(asked: Asked) -> Response:
        await asyncio.to_thread(other.first, "initialize")
        return initialized_as("2025-06-18")(asked)  # type: ignore[return-value]

    server.answers["initialize"] = answers_once_the_other_was_asked
    came = await McpRun(entry(server), entry(other, prefix="other")).run()
    assert len(came.names()) == 4


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_refused_and_its_target_never_asked(
    server: ScriptedServer,
    other: ScriptedServer,
    caplog: Log,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    server.answers["initialize"] = lambda _: RedirectResponse(other.url, status)
    headers = {"Authorization": "Bearer ${TOKEN}"}
    came = await McpRun(entry(server, headers=headers)).run()
    assert came.names() == []
    assert other.asked == []
    assert "redirects to another address, which is not followed" in caplog.text
