#!/usr/bin/env bash
# agno 3.1.10: with `checkpoint="tool-batch"`, a streamed run does not wait for an approval.
#
# The model calls a tool with `requires_confirmation=True`. Without that setting, or unstreamed, the run
# is paused with the call to confirm. With it, a streamed run ends with RunCompleted, in `run` and in
# `arun`: no RunPaused comes, and the record says COMPLETED and holds no tools. The tool does not run, and
# nobody is asked. The setting is there for runs that must outlive a crash, so for those that wait.
# The record also has no tool calls of a run whose tool needs no approval and has paid: the checkpoint
# replaces them by those of an object that a stream does not fill.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check agno==3.1.10 openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.models.openai import OpenAIChat
from agno.tools import tool

CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 5}'}}


class Provider(BaseHTTPRequestHandler):
    """Calls the tool `pay`, and says "Paid." once it has its result."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["messages"][-1]["role"] == "tool":
            message, reason = {"role": "assistant", "content": "Paid."}, "stop"
        else:
            message, reason = {"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls"
        if body.get("stream"):
            kind = "text/event-stream"
            chunks = [chunk(delta=message), chunk(delta={}, finish_reason=reason)]
            answer = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"
        else:
            kind = "application/json"
            answer = json.dumps(chunk(message=message, finish_reason=reason) | {"object": "chat.completion"})
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


def chunk(**choice: object) -> dict:
    choices = [{"index": 0, "finish_reason": None, **choice}]
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_port}/v1"
OPTIONS = {"stream": True, "stream_events": True, "yield_run_output": True}


def unstreamed(agent: Agent) -> list:
    return [agent.run("Pay 5.")]


def streamed(agent: Agent) -> list:
    return list(agent.run("Pay 5.", **OPTIONS))


def async_unstreamed(agent: Agent) -> list:
    async def run() -> list:
        return [await agent.arun("Pay 5.")]

    return asyncio.run(run())


def async_streamed(agent: Agent) -> list:
    async def run() -> list:
        return [part async for part in agent.arun("Pay 5.", **OPTIONS)]

    return asyncio.run(run())


def run(way, checkpoint: str, *, asks: bool) -> tuple:
    """Run an agent; return the last event, the record's status and tools, and what was paid."""
    paid: list[int] = []

    @tool(requires_confirmation=asks)
    def pay(amount: int) -> str:
        """Pay an amount."""
        paid.append(amount)
        return "paid"

    model = OpenAIChat(id="m", base_url=URL, api_key="x")
    agent = Agent(model=model, tools=[pay], db=InMemoryDb(), checkpoint=checkpoint, telemetry=False)
    *events, output = way(agent)
    kept = agent.get_run_output(output.run_id, output.session_id)
    tools = [call.tool_name for call in kept.tools or ()]
    return events[-1].event if events else None, kept.status.name, tools, paid


seen = {}
for checkpoint, way, asks in itertools.product(
    ("runs", "tool-batch"), (unstreamed, async_unstreamed, streamed, async_streamed), (True, False)
):
    case = f"{checkpoint}, {way.__name__}, {'asks' if asks else 'does not ask'}"
    seen[case] = run(way, checkpoint, asks=asks)
    print(f"{case}: {seen[case]}")
PAUSED, PAID = ("paused", ["pay"], []), ("completed", ["pay"], [5])
assert seen == {
    "runs, unstreamed, asks": (None, *PAUSED),
    "runs, unstreamed, does not ask": (None, *PAID),
    "runs, async_unstreamed, asks": (None, *PAUSED),
    "runs, async_unstreamed, does not ask": (None, *PAID),
    "runs, streamed, asks": ("RunPaused", *PAUSED),
    "runs, streamed, does not ask": ("RunCompleted", *PAID),
    "runs, async_streamed, asks": ("RunPaused", *PAUSED),
    "runs, async_streamed, does not ask": ("RunCompleted", *PAID),
    "tool-batch, unstreamed, asks": (None, *PAUSED),
    "tool-batch, unstreamed, does not ask": (None, *PAID),
    "tool-batch, async_unstreamed, asks": (None, *PAUSED),
    "tool-batch, async_unstreamed, does not ask": (None, *PAID),
    "tool-batch, streamed, asks": ("RunCompleted", "completed", [], []),
    "tool-batch, streamed, does not ask": ("RunCompleted", "completed", [], [5]),
    "tool-batch, async_streamed, asks": ("RunCompleted", "completed", [], []),
    "tool-batch, async_streamed, does not ask": ("RunCompleted", "completed", [], [5]),
}
PY
