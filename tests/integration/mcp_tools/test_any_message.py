"""Whatever a server sends, it costs a run its own tools at most, in a way that is planned."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter
from starlette.responses import Response

from tests.bedrock.tool_rules import tool_faults
from tests.integration.mcp_tools.mcp_run import ECHO, Came, McpRun, entry
from tests.mcp_server.odd_json import json_values, schemas
from tests.mcp_server.scripted import Answer, Asked, ScriptedServer

pytestmark = pytest.mark.usefixtures("server", "other")

any_message = settings(
    max_examples=100,
    deadline=None,
    # A run takes too long for thousands of them, which shrinking a failure would take.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ANY = json_values(12)
JSON = TypeAdapter[Any](JsonValue)
LINES = st.text(max_size=20)
PATIENCE_S = 0.2
# What HTTP lets a header have.
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


TOOLS = st.lists(
    ANY
    | st.fixed_dictionaries(
        {"name": st.sampled_from(["echo", "ping"]) | ANY, "inputSchema": schemas() | ANY},
        optional={"description": ANY, "title": ANY, "annotations": ANY},
    ),
    max_size=4,
)
BLOCKS = st.lists(
    ANY
    | optional(
        type=st.sampled_from(["text", "image", "audio", "resource", "resource_link"]) | ANY,
        text=ANY,
        mimeType=ANY,
        uri=ANY,
        resource=optional(uri=ANY, text=ANY, blob=ANY) | ANY,
    ),
    max_size=3,
)
RESULTS = {
    "initialize": optional(protocolVersion=st.just("2025-11-25") | ANY, capabilities=ANY) | ANY,
    "tools/list": optional(tools=TOOLS | ANY, nextCursor=ANY) | ANY,
    "tools/call": optional(content=BLOCKS | ANY, structuredContent=ANY, isError=ANY) | ANY,
}
ERRORS = optional(code=ANY, message=ANY, data=ANY) | ANY
# Left to the envelope: the id of the request.
ITS_ID = "its id"


def envelopes(method: str) -> st.SearchStrategy[Any]:
    ids = st.just(ITS_ID) | ANY
    answer = st.fixed_dictionaries({"id": st.just(ITS_ID), "result": RESULTS[method]})
    refusal = st.fixed_dictionaries({"id": ids, "error": ERRORS}, optional={"result": ANY})
    request = st.fixed_dictionaries({"method": st.sampled_from(["ping", "roots/list"]) | ANY})
    one = answer | answer | refusal | st.builds(lambda a, b: a | {"id": b}, request, ids) | ANY
    return one | st.lists(one, max_size=3)


def frames(method: str) -> st.SearchStrategy[list[tuple[dict[str, str], Any]]]:
    fields = optional(
        event=st.sampled_from(["message", "ping", "error", "endpoint"]) | LINES,
        id=LINES,
        retry=st.sampled_from(["1", "0", "-1", "9" * 40, "soon"]),
        other=LINES,
    )
    return st.lists(st.tuples(fields, envelopes(method) | st.none() | LINES), max_size=4)


def filled(envelope: Any, asked: Asked) -> Any:
    if isinstance(envelope, list):
        return [filled(one, asked) for one in envelope]
    if isinstance(envelope, dict) and envelope.get("id") == ITS_ID:
        return envelope | {"id": asked.message.get("id")}
    return envelope


def frame(fields: dict[str, str], data: Any, asked: Asked) -> str:
    lines = [f"{name}: {value}" for name, value in fields.items()]
    text = data if isinstance(data, str) else json.dumps(filled(data, asked))
    return "\n".join([*lines, f"data: {text}", "", ""])


def json_answer(envelope: Any, status: int, kind: str, session: str) -> Answer:
    def answer(asked: Asked) -> Response:
        body = json.dumps(filled(envelope, asked)).encode() if status != 204 else b""
        headers = {"content-type": kind, "mcp-session-id": session}
        return Response(body, status, headers)

    return answer


def stream_answer(sent: list[tuple[dict[str, str], Any]]) -> Answer:
    return lambda asked: Response(
        "".join(frame(fields, data, asked) for fields, data in sent).encode(),
        headers={"content-type": "text/event-stream"},
    )


def raw_answer(body: bytes, kind: str) -> Answer:
    return lambda _: Response(body, headers={"content-type": kind})


KINDS = st.sampled_from(["application/json", "text/event-stream; charset=utf-7"]) | HEADER
STATUS = st.sampled_from([200, 200, 200, 202, 204, 301, 400, 401, 404, 410, 500, 503])


def answers(method: str) -> st.SearchStrategy[Answer]:
    well_typed = st.just("application/json")
    good = st.builds(json_answer, envelopes(method), st.just(200), well_typed, st.just("s"))
    odd = st.builds(json_answer, envelopes(method), STATUS, KINDS | well_typed, HEADER)
    raw = st.builds(raw_answer, st.binary(max_size=60), KINDS)
    return good | good | odd | raw | st.builds(stream_answer, frames(method))


def run(server: ScriptedServer, other: ScriptedServer) -> Came:
    """Run an agent with both servers: it calls a tool of each."""
    # Some answers promise another one; that none comes need not be waited for.
    agent = McpRun(entry(server, timeout_s=PATIENCE_S), entry(other, prefix="other"))
    return asyncio.run(agent.run(ECHO, ("ping", {}), ("other_echo", {"text": "hi"})))


def check(came: Came, log: pytest.LogCaptureFixture) -> None:
    """The other server's tools are there and work, and everything fits its next reader."""
    assert came.output == "done"
    assert (
        {"other_echo", "other_ping"}
        <= {*came.names()}
        <= {*("echo", "ping", "other_echo", "other_ping")}
    )
    assert ("success", '{"text": "hi"}') in came.results
    for outcome, content in came.results:
        assert outcome in {"success", "failed", "retried"}
        JSON.validate_json(JSON.dump_json(content))
    specs = [
        {"name": tool.name, "inputSchema": {"json": tool.parameters_json_schema}}
        for tool in came.tools
    ]
    assert tool_faults({"toolConfig": {"tools": [{"toolSpec": spec} for spec in specs]}}) == []
    # The server of the tests, too, says something of the answers that it is told to give.
    for record in (record for record in log.records if record.name.startswith("agent_catalog")):
        assert record.exc_info is None, "nobody has foreseen it"
        assert record.levelno < logging.ERROR
        assert "MCP server 127.0.0.1" in record.getMessage()


@pytest.mark.parametrize("method", RESULTS)
def test_a_servers_answers_cost_its_own_tools_at_most(
    server: ScriptedServer,
    other: ScriptedServer,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    @any_message
    @given(answers(method))
    def holds(answer: Answer) -> None:
        server.reset().answers[method] = answer
        other.reset()
        caplog.clear()
        check(run(server, other), caplog)

    holds()


HTTP = st.lists(
    st.sampled_from(
        [
            *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 999 \r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
            *(
                b"Content-Length: 2\r\n",
                b"Content-Length: 99999999999\r\n",
                b"Content-Length: x\r\n",
            ),
            *(b"Content-Encoding: gzip\r\n", b"Content-Encoding: br, deflate\r\n"),
            *(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"ffffffffff\r\n"),
            *(b"Content-Type: application/json\r\n", b"Content-Type: text/event-stream\r\n"),
            *(b"Location: http://[/\r\n", b"HTTP/1.1 302 Found\r\n", b"Set-Cookie: =;=\r\n"),
            *(b"\r\n", b"\n", b"{}", b"data: {}\n\n", b"\x1f\x8b\x08", b"\xff\xfe"),
            *(b"MCP-Session-Id: \xff\r\n", b"HTTP/2.0 200\r\n", b"\x16\x03\x01"),
        ]
    )
    | st.binary(max_size=20),
    max_size=8,
).map(b"".join)


def test_bytes_that_are_hardly_http_cost_the_servers_tools_only(
    other: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def exchange(sent: bytes) -> Came:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(sent)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as raw:
            url = f"http://127.0.0.1:{raw.sockets[0].getsockname()[1]}/mcp"
            agent = McpRun(
                entry(other, url=url, timeout_s=PATIENCE_S), entry(other, prefix="other")
            )
            return await agent.run(("other_echo", {"text": "hi"}))

    @any_message
    @given(HTTP)
    def holds(sent: bytes) -> None:
        other.reset()
        caplog.clear()
        came = asyncio.run(exchange(sent))
        check(came, caplog)
        assert came.names() == ["other_echo", "other_ping"]

    holds()
