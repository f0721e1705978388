#!/usr/bin/env bash
# anthropic 2.14.0 (Python): a stream that ends properly in the middle of a tool call gives a tool call
# with other arguments.
#
# - `messages.stream()` reads partial JSON as far as it goes: cut in the middle of the number 1000,
#   `get_final_message()` returns the call with `amount` 10. A string that was cut is left out.
#   Nothing is raised; `stop_reason` is None, which is the only trace. So an agent that runs the calls
#   of the final message pays 10 rather than 1000, or without a recipient.
# - `usage.output_tokens` is what `message_start` said (1), so the tokens of a cut answer go uncounted.
# - @anthropic-ai/sdk 1.14.0 (TypeScript) rejects `finalMessage()` for the same streams.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check anthropic==2.14.0
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @anthropic-ai/sdk@1.14.0
cat > final.mjs <<'JS'
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ apiKey: "unused", baseURL: process.argv[2], maxRetries: 0 });
const asked = { model: "model", max_tokens: 99, messages: [{ role: "user", content: "Pay" }] };
try {
  console.log(JSON.stringify((await client.messages.stream(asked).finalMessage()).content));
} catch (error) {
  console.log(error.constructor.name);
}
JS
"$folder/venv/bin/python" - <<'PY'
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from anthropic import Anthropic

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "model",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 1},
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {}}
# What arrived of {"to": "account 7", "amount": 1000} or of {"amount": 1000, "to": "account 7"}.
ARRIVED = {"in a number": '{"to": "account 7", "amount": 10', "in a string": '{"amount": 1000, "to": "acc'}
answer = b""


def event(**fields: object) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
client = Anthropic(api_key="unused", base_url=url, max_retries=0)
seen = {}
for name, arrived in ARRIVED.items():
    delta = {"type": "input_json_delta", "partial_json": arrived}
    answer = (
        event(type="message_start", message=MESSAGE)
        + event(type="content_block_start", index=0, content_block=CALL)
        + event(type="content_block_delta", index=0, delta=delta)
    )
    asked = [{"role": "user", "content": "Pay"}]
    with client.messages.stream(model="model", max_tokens=99, messages=asked) as stream:
        final = stream.get_final_message()
    (call,) = final.content
    node = subprocess.run(["node", "final.mjs", url], capture_output=True, text=True, check=True, timeout=60)
    seen[name] = call.input, final.stop_reason, final.usage.output_tokens, node.stdout.strip()
    print(f"cut {name}:", *seen[name])
assert seen == {
    "in a number": ({"to": "account 7", "amount": 10}, None, 1, "AnthropicError"),
    "in a string": ({"amount": 1000}, None, 1, "AnthropicError"),
}
PY
