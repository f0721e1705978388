#!/usr/bin/env bash
# mcp 2.3.0 (Python): how its client treats servers that are slightly invalid.
#
# - One tool whose schema has `properties: []` (PHP's empty object) or no `type` loses the whole list:
#   `list_tools` raises, and the server's valid tools are lost too. The package's own public model,
#   `mcp.types.ListToolsResult`, accepts the same list; the client checks it again against the
#   negotiated revision of the protocol.
# - One content block of an unknown type loses the whole result: `call_tool` raises, even if the other
#   blocks hold the answer.
# - The public model accepts an array as `structuredContent`; the client refuses it, at the revision
#   that it requests from a plain server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0
cat > "$folder/server.py" <<'PY'
import json
import sys

SCHEMAS = {"good": {"type": "object"}, "array": {"type": "object", "properties": []}, "bare": {}}
TEXT = {"type": "text", "text": "found"}
RESULTS = {
    "text": {"content": [TEXT]},
    "block": {"content": [TEXT, {"type": "hologram", "data": "x"}]},
    "array": {"content": [TEXT], "structuredContent": [1, 2]},
}
tools = [{"name": "good", "inputSchema": SCHEMAS["good"]}, {"name": "odd", "inputSchema": SCHEMAS[sys.argv[1]]}]
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    match request["method"]:
        case "initialize":
            asked = request["params"]["protocolVersion"]
            server = {"name": "odd", "version": "1"}
            answer["result"] = {"protocolVersion": asked, "capabilities": {"tools": {}}, "serverInfo": server}
        case "tools/list":
            answer["result"] = {"tools": tools}
        case "tools/call":
            answer["result"] = RESULTS[request["params"]["name"]]
        case method:
            answer["error"] = {"code": -32601, "message": f"no {method}"}
    print(json.dumps(answer), flush=True)
PY
"$folder/venv/bin/python" - "$folder/server.py" <<'PY'
import asyncio
import logging
import sys

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, ListToolsResult

logging.disable()


def client(kind: str) -> Client:
    return Client(StdioServerParameters(command=sys.executable, args=[sys.argv[1], kind]))


async def listed(kind: str) -> str:
    async with client(kind) as session:
        try:
            return ", ".join(tool.name for tool in (await session.list_tools()).tools)
        except Exception as error:
            return type(error).__name__


async def called(name: str) -> str:
    async with client("good") as session:
        try:
            return (await session.call_tool(name, {})).content[0].text
        except Exception as error:
            return type(error).__name__


async def main() -> None:
    seen = {
        "lists": {kind: await listed(kind) for kind in ("good", "array", "bare")},
        "results": {name: await called(name) for name in ("text", "block", "array")},
    }
    print(seen)
    assert seen == {
        "lists": {"good": "good, odd", "array": "ValidationError", "bare": "ValidationError"},
        "results": {"text": "found", "block": "ValidationError", "array": "ValidationError"},
    }


for schema in ({"type": "object", "properties": []}, {}):
    ListToolsResult.model_validate({"tools": [{"name": "odd", "inputSchema": schema}]})
CallToolResult.model_validate({"content": [], "structuredContent": [1, 2]})
print("the public models take all three")
asyncio.run(asyncio.wait_for(main(), 100))
PY
