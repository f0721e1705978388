#!/usr/bin/env bash
# langgraph-sdk 0.4.14 (Python) and @langchain/langgraph-sdk 1.15.0 (JavaScript): a stream that ends
# properly inside an event.
#
# The standard of server-sent events has a reader drop an event whose blank line never came. Both
# clients hand it on, and then attach again to a run that is still running:
# - Cut after `data:` and before `id:` (the order in which fastapi.sse 0.165.0 writes them), the event
#   comes twice, first under the id of the event before it. So the text is doubled, and who drops events
#   by their id drops neither.
# - Cut inside the data, the Python client raises JSONDecodeError rather than attach again; the one in
#   JavaScript attaches again.
# Cut between two events, both go on without a gap.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check langgraph-sdk==0.4.14 fastapi==0.165.0
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @langchain/langgraph-sdk@1.15.0
cat > join.mjs <<'JS'
import { Client } from "@langchain/langgraph-sdk";

const [apiUrl, thread] = process.argv.slice(2);
const seen = [];
try {
  for await (const { id, data } of new Client({ apiUrl }).runs.joinStream(thread, "javascript")) {
    seen.push(`${id} ${JSON.stringify(data)}`);
  }
} catch (error) {
  seen.push(error.name);
}
console.log(JSON.stringify(seen));
JS
"$folder/venv/bin/python" - <<'PY'
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fastapi.sse import format_sse_event
from langgraph_sdk import get_sync_client

EVENTS = [
    format_sse_event(event="messages", data_str='"Hal"', id="1"),
    format_sse_event(event="messages", data_str='"lo"', id="2"),
    format_sse_event(event="end", data_str="null", id="3"),
]
STREAM = b"".join(EVENTS)
CUTS = {
    "between": len(EVENTS[0]),
    "before-the-id": STREAM.index(b"id: 2"),
    "inside-the-data": STREAM.index(b'o"'),
}


class AgentServer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # /threads/{name of the cut}/runs/{name of the client}[/stream]
        path = self.path.partition("?")[0]
        self.send_response(200)
        if path.endswith("/stream"):
            read = self.headers.get("Last-Event-ID")
            answer = b"".join(EVENTS[int(read or 0) :])
            if read is None:
                answer = answer[: CUTS[path.split("/")[2]]]
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Location", path)
        else:
            answer = b'{"status": "running"}'
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), AgentServer)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
client = get_sync_client(url=url)


def python(thread: str) -> list[str]:
    seen = []
    try:
        for part in client.runs.join_stream(thread, "python"):
            seen.append(f"{part.id} {json.dumps(part.data)}")
    except ValueError as error:
        seen.append(type(error).__name__)
    return seen


def javascript(thread: str) -> list[str]:
    node = subprocess.run(
        ["node", "join.mjs", url, thread], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(node.stdout)


seen = {cut: {"python": python(cut), "javascript": javascript(cut)} for cut in CUTS}
for cut, clients in seen.items():
    print(f"{cut}:", clients)
WHOLE = ['1 "Hal"', '2 "lo"', "3 null"]
TWICE = ['1 "Hal"', '1 "lo"', '2 "lo"', "3 null"]
assert seen == {
    "between": {"python": WHOLE, "javascript": WHOLE},
    "before-the-id": {"python": TWICE, "javascript": TWICE},
    "inside-the-data": {"python": ['1 "Hal"', "JSONDecodeError"], "javascript": WHOLE},
}
PY
