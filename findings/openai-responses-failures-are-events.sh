#!/usr/bin/env bash
# openai 3.57.0 (Python): streams of the Responses API that fail.
#
# - `responses.create(stream=True)` never raises: a stream that ends properly without
#   `response.completed`, a `response.failed` event and an `error` event are events like any other, so
#   a loop that collects deltas takes all three for success.
# - The helper `responses.stream()` raises at `get_final_response()`, but only a RuntimeError that says
#   "Didn't receive a `response.completed` event", even if `response.failed` carried the provider's
#   code and message.
# - By contrast, an `error` object in a stream of Chat Completions raises APIError with its message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import APIError, OpenAI

BEGUN = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "in_progress",
    "model": "model",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
ERROR = {"code": "server_error", "message": "boom"}
CREATED = {"type": "response.created", "sequence_number": 0, "response": BEGUN}
FAILED = {
    "type": "response.failed",
    "sequence_number": 1,
    "response": BEGUN | {"status": "failed", "error": ERROR},
}
STREAMS = {
    "cut": [CREATED],
    "failed": [CREATED, FAILED],
    "error": [CREATED, {"type": "error", "sequence_number": 1, "param": None, **ERROR}],
}
events: list[dict] = []


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            name = f"event: {event['type']}\n" if "type" in event else ""
            self.wfile.write(f"{name}data: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(api_key="unused", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0)
asked = {"model": "model", "input": "Hello"}


def final() -> str:
    with client.responses.stream(**asked) as stream:
        try:
            return str(stream.get_final_response().status)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def chat() -> str:
    try:
        return str(list(client.chat.completions.create(model="model", messages=[], stream=True)))
    except APIError as error:
        return f"APIError: {error}"


seen = {}
for name, events in STREAMS.items():
    plain = [event.type for event in client.responses.create(**asked, stream=True)]
    seen[name] = plain[1:], final()
    print(name, *seen[name])
events = [{"error": ERROR}]
seen["chat"] = chat()
print("chat", seen["chat"])
MISSED = "RuntimeError: Didn't receive a `response.completed` event."
assert seen == {
    "cut": ([], MISSED),
    "failed": (["response.failed"], MISSED),
    "error": (["error"], MISSED),
    "chat": "APIError: boom",
}
PY
