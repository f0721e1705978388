#!/usr/bin/env bash
# @modelcontextprotocol/server 2.4.0, tools with an `outputSchema` made of zod 4.6.7: the server checks an
# answer by one rule and tells its clients another.
#
# - For an answer with a key that the schema does not name, zod passes (it strips such keys), while the JSON
#   Schema in the list of tools says `additionalProperties: false`. With `.default()`, zod fills the
#   key in, while the list says that it is required. In both cases the server sends the answer
#   as the tool returned it.
# - So the tool has done its work, and then the call raises at the client: `callTool` of
#   @modelcontextprotocol/client 2.4.0, and `call_tool` of the Python package mcp 2.3.0. A
#   caller that takes it for a failed call and repeats it pays twice.
# - The TypeScript client raises only if it has listed the tools before; otherwise the same call succeeds,
#   so tests that call a tool by its name do not show it.
# `z.looseObject` says the same thing in both places, and its answers arrive.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/server@2.4.0 @modelcontextprotocol/client@2.4.0 zod@4.6.7
cat > server.mjs <<'JS'
import { appendFileSync } from "node:fs";
import { McpServer } from "@modelcontextprotocol/server";
import { StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { z } from "zod";

const server = new McpServer({ name: "bank", version: "1" });
const inputSchema = z.object({ amount: z.number() });
const TOOLS = {
  exact: [z.object({ id: z.number() }), { id: 7 }],
  extra: [z.object({ id: z.number() }), { id: 7, fee: 1 }],
  default: [z.object({ id: z.number(), fee: z.number().default(0) }), { id: 7 }],
  loose: [z.looseObject({ id: z.number() }), { id: 7, fee: 1 }],
};
for (const [name, [outputSchema, answer]] of Object.entries(TOOLS)) {
  server.registerTool(name, { inputSchema, outputSchema }, async ({ amount }) => {
    appendFileSync("paid.txt", `${amount}\n`);
    return { content: [{ type: "text", text: JSON.stringify(answer) }], structuredContent: answer };
  });
}
await server.connect(new StdioServerTransport());
JS
cat > client.mjs <<'JS'
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const seen = {};
for (const listed of [false, true]) {
  const client = new Client({ name: "shop", version: "1" });
  await client.connect(new StdioClientTransport({ command: "node", args: ["server.mjs"] }));
  if (listed) await client.listTools();
  for (const name of ["exact", "extra", "default", "loose"]) {
    let outcome;
    try {
      outcome = (await client.callTool({ name, arguments: { amount: 5 } })).structuredContent;
    } catch (error) {
      outcome = error.message.split(": ").at(-1);
    }
    (seen[name] ??= []).push(outcome);
  }
  await client.close();
}
console.log(JSON.stringify(seen));
JS
"$folder/venv/bin/python" - <<'PY'
import asyncio
import json
import logging
import subprocess
from pathlib import Path

from mcp import Client, StdioServerParameters

logging.disable()
PAID = Path("paid.txt")


async def python() -> dict[str, object]:
    seen = {}
    async with Client(StdioServerParameters(command="node", args=["server.mjs"])) as client:
        for name in ("exact", "extra", "default", "loose"):
            try:
                seen[name] = (await client.call_tool(name, {"amount": 5})).structured_content
            except RuntimeError as error:
                seen[name] = str(error).splitlines()[0].rpartition(": ")[2]
    return seen


def payments() -> int:
    count = len(PAID.read_text().splitlines())
    PAID.unlink()
    return count


node = subprocess.run(["node", "client.mjs"], capture_output=True, text=True, check=True, timeout=60)
typescript = json.loads(node.stdout)
seen = {"typescript": payments(), "python": (asyncio.run(asyncio.wait_for(python(), 60)), payments())}
for name, (unlisted, listed) in typescript.items():
    print(f"{name}: TypeScript {unlisted}; tools listed: {listed}; Python: {seen['python'][0][name]}")
print("payments of 8 and 4 calls:", seen["typescript"], seen["python"][1])
WHOLE, SHORT = {"id": 7, "fee": 1}, {"id": 7}
assert typescript == {
    "exact": [SHORT, SHORT],
    "extra": [WHOLE, "data must NOT have additional properties"],
    "default": [SHORT, "data must have required property 'fee'"],
    "loose": [WHOLE, WHOLE],
}
refused = {
    "extra": "Additional properties are not allowed ('fee' was unexpected)",
    "default": "'fee' is a required property",
}
assert seen == {"typescript": 8, "python": ({"exact": SHORT, **refused, "loose": WHOLE}, 4)}
PY
