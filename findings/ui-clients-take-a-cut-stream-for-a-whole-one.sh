#!/usr/bin/env bash
# Chat clients that cannot tell a cut stream from a finished one.
#
# ai 6.0.326 and 7.0.173 (DefaultChatTransport) and @ag-ui/client 1.0.0 (HttpAgent) are sent a start
# and one text delta; then the response ends properly, without `finish`, `[DONE]` or `RUN_FINISHED`,
# as a proxy ends it when its upstream is gone. All three report success with the text so far; only a
# reset connection raises. So a server has to break the connection rather than end it.
#
# Also: ai ends the whole stream with AI_TypeValidationError at one chunk of an unknown `type` (only
# `data-*` is open), while HttpAgent skips events of unknown types.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ai6@npm:ai@6.0.326 ai7@npm:ai@7.0.173 @ag-ui/client@1.0.0
cat > seen.mjs <<'JS'
import assert from "node:assert/strict";
import http from "node:http";

console.warn = console.error = () => {};

async function serving(events, end, use) {
  const server = http.createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
      if (end === "reset") setTimeout(() => response.destroy(), 50);
      else response.end();
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    return await use(`http://127.0.0.1:${server.address().port}/`);
  } catch (error) {
    return error.name;
  } finally {
    server.close();
  }
}

const part = (type) => ({ type, id: "t" });
const CUT = [{ type: "start" }, part("text-start"), { ...part("text-delta"), delta: "Hal" }];
const chunks = (sdk) => async (api) => {
  const stream = await new sdk.DefaultChatTransport({ api }).sendMessages({
    chatId: "c",
    trigger: "submit-message",
    messages: [{ id: "u", role: "user", parts: [{ type: "text", text: "Hello" }] }],
  });
  const types = [];
  for await (const chunk of stream) types.push(chunk.type);
  return types.join(" ");
};
for (const name of ["ai6", "ai7"]) {
  const read = chunks(await import(name));
  const cut = await serving(CUT, "proper", read);
  const reset = await serving(CUT, "reset", read);
  const unknown = await serving([CUT[0], { type: "heartbeat" }, { type: "finish" }], "proper", read);
  console.log(name, { cut, reset, unknown });
  assert.deepEqual({ cut, reset, unknown }, {
    cut: "start text-start text-delta",
    reset: "TypeError",
    unknown: "AI_TypeValidationError",
  });
}

const { HttpAgent } = await import("@ag-ui/client");
const STARTED = { type: "RUN_STARTED", threadId: "t", runId: "r" };
const BEGUN = [
  STARTED,
  { type: "TEXT_MESSAGE_START", messageId: "m", role: "assistant" },
  { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "Hal" },
];
const answer = async (url) => {
  const agent = new HttpAgent({ url, threadId: "t" });
  const { newMessages } = await agent.runAgent({ runId: "r" });
  return newMessages.map((message) => message.content).join("|");
};
const FINISHED = { type: "RUN_FINISHED", threadId: "t", runId: "r" };
const agui = {
  cut: await serving(BEGUN, "proper", answer),
  unknown: await serving([STARTED, { type: "HEARTBEAT" }, FINISHED], "proper", answer),
};
console.log("@ag-ui/client", agui);
assert.deepEqual(agui, { cut: "Hal", unknown: "" });
JS
node seen.mjs
