#!/usr/bin/env bash
# openai 3.57.0 and anthropic 2.14.0 (Python): mocks of httpx do not stop their calls any more.
#
# Both now send by httpx2, another package. With httpx and respx 0.23.1 installed, as many test suites
# have them, a test under `respx.mock`, which refuses every request without a route, sends its model
# calls out all the same: it passes, waits for the provider, and is billed.
# - openai takes a client of httpx as `http_client`, and then respx sees its requests.
# - anthropic refuses one with TypeError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check openai==3.57.0 anthropic==2.14.0 httpx==0.28.1 respx==0.23.1
"$folder/venv/bin/python" - <<'PY'
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import respx
from anthropic import Anthropic
from openai import OpenAI

ASKED = {"model": "model", "messages": [{"role": "user", "content": "Hello"}]}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hallo"}}
ANSWERS = {
    "/chat/completions": {"object": "chat.completion", "created": 1, "choices": [CHOICE]},
    "/v1/messages": {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hallo"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
billed: list[str] = []


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        billed.append(self.path)
        answer = json.dumps({"id": "1", "model": "model"} | ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
options = {"api_key": "unused", "base_url": url, "max_retries": 0}


def openai(**more: object) -> str | None:
    return OpenAI(**options, **more).chat.completions.create(**ASKED).choices[0].message.content


def anthropic(**more: object) -> str:
    return Anthropic(**options, **more).messages.create(**ASKED, max_tokens=9).content[0].text


def get(**more: object) -> str:
    return httpx.get(url, **more).text


def under_mock(call: Callable[..., str | None], **more: object) -> str | None:
    with respx.mock:
        try:
            return call(**more)
        except (AssertionError, TypeError) as error:
            return type(error).__name__


seen = {
    "httpx itself": under_mock(get),
    "openai": under_mock(openai),
    "anthropic": under_mock(anthropic),
    "openai with a client of httpx": under_mock(openai, http_client=httpx.Client()),
    "anthropic with a client of httpx": under_mock(anthropic, http_client=httpx.Client()),
}
for name, ended in seen.items():
    print(f"{name}: {ended}")
print("requests that went out:", *billed)
assert seen == {
    "httpx itself": "AllMockedAssertionError",
    "openai": "Hallo",
    "anthropic": "Hallo",
    "openai with a client of httpx": "AllMockedAssertionError",
    "anthropic with a client of httpx": "TypeError",
}
assert billed == ["/chat/completions", "/v1/messages"]
PY
