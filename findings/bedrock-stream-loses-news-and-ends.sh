#!/usr/bin/env bash
# botocore 1.44.8, given a ConverseStream that is newer than its model, or cut.
#
# - If a response ends properly inside a frame, the iteration ends without an error: a stream is
#   complete only if `messageStop` was seen.
# - Event types that the service model lacks are silently skipped; an unknown member inside a known
#   event arrives as `SDK_UNKNOWN_MEMBER`.
# - An exception event raises EventStreamError with the frame's code, in lower camel case
#   (`throttlingException`; before the stream, the same fault is `ThrottlingException`). If the model
#   lacks the exception, both code and message are lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check boto3==1.44.8 botocore==1.44.8
"$folder/venv/bin/python" - <<'PY'
import json
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.exceptions import EventStreamError


def frame(kind: str, name: str, content: dict) -> bytes:
    """Write one message of the format `application/vnd.amazon.eventstream`."""
    headers = b""
    for key, value in {
        ":message-type": kind,
        f":{kind}-type": name,
        ":content-type": "application/json",
    }.items():
        headers += bytes([len(key)]) + key.encode() + b"\7" + struct.pack(">H", len(value)) + value.encode()
    payload = json.dumps(content).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


START = frame("event", "messageStart", {"role": "assistant"})
STOP = frame("event", "messageStop", {"stopReason": "end_turn"})
HOLOGRAM = {"contentBlockIndex": 0, "delta": {"hologram": {"x": 1}}}
STREAMS = {
    "cut": START + STOP[:-7],
    "unknown event": START + frame("event", "somethingNew", {"a": 1}) + STOP,
    "unknown member": frame("event", "contentBlockDelta", HOLOGRAM),
    "throttled": START + frame("exception", "throttlingException", {"message": "slow down"}),
    "unknown exception": START + frame("exception", "somethingNewException", {"message": "why"}),
}
answer = b""


class Model(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.amazon.eventstream")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
threading.Thread(target=server.serve_forever, daemon=True).start()
bedrock = boto3.client(
    "bedrock-runtime",
    region_name="eu-west-1",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="unused",
    aws_secret_access_key="unused",
)
seen = {}
for name, answer in STREAMS.items():
    events = []
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    try:
        for event in bedrock.converse_stream(modelId="model", messages=messages)["stream"]:
            events += [f"{key} {value.get('delta', '')}".strip() for key, value in event.items()]
    except EventStreamError as error:
        events.append(error.response["Error"])
    seen[name] = events
    print(f"{name}: {events}")
assert seen == {
    "cut": ["messageStart"],
    "unknown event": ["messageStart", "messageStop"],
    "unknown member": ["contentBlockDelta {'SDK_UNKNOWN_MEMBER': {'name': 'hologram'}}"],
    "throttled": ["messageStart", {"Code": "throttlingException", "Message": "slow down"}],
    "unknown exception": ["messageStart", {"Code": "", "Message": ""}],
}
PY
