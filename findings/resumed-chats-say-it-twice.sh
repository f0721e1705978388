#!/usr/bin/env bash
# ai 6.0.326 and 7.0.173, `resumeStream` after a lost connection: whether the answer is then there once
# or twice depends on an optional field of the stream's first chunk.
#
# The stream is written by pydantic-ai-slim 2.68.0, whose adapter for this protocol begins with
# `{"type":"start"}`, without `messageId` unless it was built with `server_message_id`. The connection
# is reset after the first words, and `resumeStream` then gets the same stream from its beginning.
# - With `messageId`, the client replaces the half answer.
# - Without it, the half answer stays and the whole one is added as a further message. The user reads
#   the beginning twice, and the next request sends both, so the model reads (and bills) both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check pydantic-ai-slim==2.68.0
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ai6@npm:ai@6.0.326 ai7@npm:ai@7.0.173
venv/bin/python - <<'PY'
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.ui.vercel_ai import VercelAIAdapter


async def answer(*_: object) -> AsyncIterator[str]:
    yield "Hal"
    yield "lo"


async def written(**options: str) -> list[str]:
    hello = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    body = json.dumps({"trigger": "submit-message", "id": "c", "messages": [hello]}).encode()
    adapter = VercelAIAdapter(
        agent=Agent(FunctionModel(stream_function=answer)),
        run_input=VercelAIAdapter.build_run_input(body),
        **options,
    )
    return [chunk async for chunk in adapter.encode_stream(adapter.run_stream())]


async def main() -> None:
    streams = {"without": await written(), "with": await written(server_message_id="m1")}
    Path("streams.json").write_text(json.dumps(streams))


asyncio.run(main())
PY
cat > seen.mjs <<'JS'
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";

class State {
  status = "ready";
  messages = [];
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = message);
  snapshot = structuredClone;
}

async function answers(sdk, chunks) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (request.method === "POST") asked.push(JSON.parse(body).messages.length);
    if (asked.length === 1 && request.method === "POST") {
      const begun = chunks.findIndex((chunk) => chunk.includes("text-delta")) + 1;
      response.write(chunks.slice(0, begun).join(""));
      setTimeout(() => response.destroy(), 50);
    } else response.end(chunks.join(""));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  class Chat extends sdk.AbstractChat {}
  const api = `http://127.0.0.1:${server.address().port}/chat`;
  const transport = new sdk.DefaultChatTransport({ api });
  const chat = new Chat({ id: "c", transport, state: new State() });
  await chat.sendMessage({ text: "Hello" });
  assert.equal(chat.status, "error");
  await chat.resumeStream();
  assert.equal(chat.status, "ready");
  const texts = chat.messages
    .filter((message) => message.role === "assistant")
    .map((message) => message.parts.map((part) => part.text ?? "").join(""));
  await chat.sendMessage({ text: "And?" });
  server.close();
  return { texts, "messages in the next request": asked[1] };
}

const streams = JSON.parse(await readFile("streams.json", "utf8"));
for (const name of ["ai6", "ai7"]) {
  const sdk = await import(name);
  const seen = {};
  for (const [id, chunks] of Object.entries(streams)) seen[id] = await answers(sdk, chunks);
  console.log(name, JSON.stringify(seen));
  assert.deepEqual(seen, {
    without: { texts: ["Hal", "Hallo"], "messages in the next request": 4 },
    with: { texts: ["Hallo"], "messages in the next request": 3 },
  });
}
JS
node seen.mjs
