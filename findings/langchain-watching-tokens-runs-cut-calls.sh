#!/usr/bin/env bash
# langchain 1.5.2: a tool call that hit the token limit is run with other arguments, but only if somebody
# watches the tokens.
#
# The model's answer stops in the middle of the number 1000, with the finish reason `length`.
# - `agent.invoke()` and `stream_mode="updates"` find the arguments to be no JSON: the call goes into
#   `invalid_tool_calls`, no tool runs, and the run ends without an error and with an empty answer.
# - `stream_mode="messages"`, or `streaming=True` on the model, reads the same arguments as partial JSON: the
#   call is listed under `tool_calls` as any other, and the tool pays 10 rather than 1000. The finish
#   reason in the message is still `length`; nothing looks at it.
# `stream_mode` reads like a choice of what is shown, so a test with `invoke` says nothing about the chat
# that streams the same agent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check langchain==1.5.2 langchain-core==1.8.3 langchain-openai==1.7.4 langgraph==1.2.24
"$folder/venv/bin/python" - <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

CALL = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 10'}}


def answers(after_tool: bool) -> tuple[dict, dict, str]:
    """Return the message, its streamed form and the finish reason."""
    if after_tool:
        message = {"role": "assistant", "content": "Paid."}
        return message, message, "stop"
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    return message, message | {"tool_calls": [{"index": 0, **CALL}]}, "length"


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message, delta, reason = answers(body["messages"][-1]["role"] == "tool")
        head = {"id": "x", "created": 1, "model": "m"}
        if body.get("stream"):
            events = []
            for choice in ({"delta": delta, "finish_reason": None}, {"delta": {}, "finish_reason": reason}):
                chunk = head | {"object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
                events.append(f"data: {json.dumps(chunk)}\n\n")
            answer, kind = "".join(events) + "data: [DONE]\n\n", "text/event-stream"
        else:
            choice = {"index": 0, "message": message, "finish_reason": reason}
            answer = json.dumps(head | {"object": "chat.completion", "choices": [choice]})
            kind = "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
paid: list[int] = []


def pay(amount: int) -> str:
    """Pay an amount."""
    paid.append(amount)
    return "paid"


def agent(**options: bool):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return create_agent(ChatOpenAI(model="m", base_url=url, api_key="x", **options), [pay])


def streamed(mode: str) -> list:
    """Return the messages of the run, read from its last state."""
    return list(agent().stream({"messages": "Pay 1000."}, stream_mode=[mode, "values"]))[-1][1]["messages"]


WAYS = {
    "invoke": lambda: agent().invoke({"messages": "Pay 1000."})["messages"],
    "updates": lambda: streamed("updates"),
    "messages": lambda: streamed("messages"),
    "streaming model": lambda: agent(streaming=True).invoke({"messages": "Pay 1000."})["messages"],
}
seen = {}
for way, run in WAYS.items():
    paid.clear()
    messages = run()
    reason = messages[1].response_metadata["finish_reason"]
    seen[way] = (reason, len(messages[1].invalid_tool_calls), list(paid), messages[-1].content)
    print(f"{way}: (finish reason, invalid calls, paid, answer) = {seen[way]}")
assert seen == {
    "invoke": ("length", 1, [], ""),
    "updates": ("length", 1, [], ""),
    "messages": ("length", 0, [10], "Paid."),
    "streaming model": ("length", 0, [10], "Paid."),
}
PY
