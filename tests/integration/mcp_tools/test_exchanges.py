"""Odd tools and answers, from a server over a socket to Bedrock as the real boto3 sends it."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from agentrun.domain.events import ContentDelta, ToolEnd, ToolStart
from tests.bedrock import BedrockServer, Reply, Text, ToolUse
from tests.bedrock.engine_run import EngineRun, Runner
from tests.integration.mcp_tools.exchanges import ANSWERS, PARAMETERS, Answer, Parameters
from tests.mcp_server.scripted import ScriptedServer, tool

pytestmark = pytest.mark.anyio

CLAUDE = "bedrock:global.anthropic.claude-sonnet-5-5"
# Its schemas are inlined on the way.
NOVA = "bedrock:eu.amazon.nova-pro-v1:0"
PAGE = Path(__file__).resolve().parents[3] / "docs/mcp.md"
DONE = ContentDelta(text="done")


async def run(
    folder: Path, server: ScriptedServer, model: str, *tools: str, **fields: Any
) -> EngineRun:
    entry = {"url": server.url, "tools": tools or ("echo", "ping"), "timeout_s": 5} | fields
    async with Runner(folder, model, f"mcp: {json.dumps([entry])}\n") as runner:
        return await runner.run()


def specification(bedrock: BedrockServer, name: str) -> dict[str, Any]:
    """Return what a provider was told of a tool."""
    tools = bedrock.requests[0].body["toolConfig"]["tools"]
    (found,) = (tool["toolSpec"] for tool in tools if tool["toolSpec"]["name"] == name)
    given: dict[str, Any] = found
    return given


def compact(value: object) -> str:
    """Write JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: json.dumps(row.sent)[:60])
async def test_parameters_are_ones_that_bedrock_takes_and_the_server_gets_its_own(
    tmp_path: Path, server: ScriptedServer, bedrock: BedrockServer, row: Parameters
) -> None:
    server.tools = (tool("echo", inputSchema=row.sent), tool("ping"))
    bedrock.script(Reply(ToolUse("t1", "echo", row.called)), Reply(Text("done")))
    came = await run(tmp_path, server, CLAUDE)
    assert (came.error, bedrock.refused) == (None, [])
    assert specification(bedrock, "echo")["inputSchema"]["json"] == row.given
    assert server.first("tools/call").message["params"]["arguments"] == row.passed
    assert came.events == [
        ToolStart(id="t1", name="echo", arguments=row.called),
        # The server answers with its arguments as text.
        ToolEnd(id="t1", name="echo", result=json.dumps(row.passed)),
        DONE,
    ]


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: json.dumps(row.sent)[:60])
async def test_parameters_are_taken_where_schemas_are_inlined(
    tmp_path: Path, server: ScriptedServer, bedrock: BedrockServer, row: Parameters
) -> None:
    server.tools = (tool("echo", inputSchema=row.sent), tool("ping"))
    bedrock.script(Reply(ToolUse("t1", "echo", row.called)), Reply(Text("done")))
    came = await run(tmp_path, server, NOVA)
    assert (came.error, bedrock.refused) == (None, [])
    assert server.first("tools/call").message["params"]["arguments"] == row.passed


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: json.dumps(row.sent)[:60])
async def test_an_answer_reaches_model_and_user_alike(
    tmp_path: Path, server: ScriptedServer, bedrock: BedrockServer, row: Answer
) -> None:
    server.answers["tools/call"] = lambda asked: JSONResponse(asked.result(row.sent))
    bedrock.script(Reply(ToolUse("t1", "echo", {})), Reply(Text("done")))
    came = await run(tmp_path, server, CLAUDE)
    assert (came.error, bedrock.refused) == (None, [])
    start = ToolStart(id="t1", name="echo", arguments={})
    assert came.events == [start, ToolEnd(id="t1", name="echo", result=row.seen), DONE]
    (block,) = bedrock.requests[1].body["messages"][-1]["content"]
    told = [item["text"] for item in block["toolResult"]["content"]]
    # pydantic-ai tells the items of a list one by one.
    seen = row.seen if isinstance(row.seen, list) else [row.seen]
    assert told == [part if isinstance(part, str) else compact(part) for part in seen]
    assert all(part.strip() for part in told)


async def test_one_tool_that_cannot_be_used_costs_no_other(
    tmp_path: Path,
    server: ScriptedServer,
    bedrock: BedrockServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.tools = (tool("echo", inputSchema={"type": "array"}), tool("ping"))
    bedrock.script(Reply(ToolUse("t1", "ping", {"text": "hi"})), Reply(Text("done")))
    came = await run(tmp_path, server, CLAUDE)
    assert (came.error, bedrock.refused) == (None, [])
    names = [tool["toolSpec"]["name"] for tool in bedrock.requests[0].body["toolConfig"]["tools"]]
    assert names == ["add", "whose", "ping"]
    assert (
        "The MCP server 127.0.0.1 has no usable tool 'echo': its arguments are no object"
        in caplog.messages
    )


async def test_a_tool_that_grows_beyond_a_prompt_when_inlined_is_left_out(
    tmp_path: Path,
    server: ScriptedServer,
    bedrock: BedrockServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    doubled = {
        f"D{level}": {
            "type": "object",
            "properties": {side: {"$ref": f"#/$defs/D{level + 1}"} for side in "ab"},
        }
        for level in range(20)
    }
    large = {"type": "object", "properties": {"a": {"$ref": "#/$defs/D0"}}}
    definitions = doubled | {"D20": {"type": "string"}}
    server.tools = (tool("echo", inputSchema=large | {"$defs": definitions}), tool("ping"))
    bedrock.script(Reply(Text("done")))
    came = await run(tmp_path, server, NOVA)
    assert came.error is None
    assert "has no usable tool 'echo': no schema for the model can be made of it" in caplog.text
    # Nothing is inlined for this one.
    bedrock.script(Reply(Text("done")))
    assert (await run(tmp_path, server, CLAUDE)).error is None
    assert bedrock.refused == []
    assert "echo" in str(bedrock.requests[1].body["toolConfig"])


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ("pages.get/all", "pages_get_all"),
        ("get user", "get_user"),
        ("x" * 70, "x" * 55 + "_c71bd109"),
    ],
)
async def test_a_name_that_models_do_not_take_is_changed_for_them(
    tmp_path: Path, server: ScriptedServer, bedrock: BedrockServer, own: str, shown: str
) -> None:
    server.tools = (tool(own),)
    bedrock.script(Reply(ToolUse("t1", shown, {"text": "hi"})), Reply(Text("done")))
    came = await run(tmp_path, server, CLAUDE, own)
    assert (came.error, bedrock.refused) == (None, [])
    assert came.events[0] == ToolStart(id="t1", name=shown, arguments={"text": "hi"})
    assert server.first("tools/call").message["params"]["name"] == own


def test_the_page_has_these_rows() -> None:
    def code(value: object) -> str:
        return f"`{json.dumps(value, ensure_ascii=False)}`"

    parameters = ["| " + " | ".join(map(code, row)) + " |" for row in PARAMETERS]
    answers = ["| " + " | ".join(map(code, row)) + " |" for row in ANSWERS]
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(("| `{", "| `null"))] == parameters + answers
