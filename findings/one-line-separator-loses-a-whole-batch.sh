#!/usr/bin/env bash
# One U+2028 (LINE SEPARATOR) in a text, as copied from PDFs and word processors: JSON holds it as it is,
# `str.splitlines` and httpx's `iter_lines` break lines at it, and so do two readers of JSON lines.
#
# - pydantic-ai-slim 2.68.0, batches of OpenAIResponsesModel: with it in one answer, `batch_results`
#   raises ValidationError, and the batch's other answers, which are paid for as well, are lost with it.
#   With it in a prompt, the same happens to a batch that expired: the library cannot read the file that
#   it uploaded itself, so the answers that were ready in time are out of reach.
# - a2a-sdk 1.3.0: its client ends a task's stream with A2AClientError. Servers that write with
#   JSON.stringify, or with `ensure_ascii=False`, do not escape the character.
# httpx-sse 0.4.3 reads the same stream.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check 'pydantic-ai-slim[openai]==2.68.0' a2a-sdk==1.3.0 httpx==0.28.1 httpx-sse==0.4.3
"$folder/venv/bin/python" - <<'PY'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import httpx_sse
from a2a.client import A2AClientError, ClientConfig, ClientFactory
from a2a.types.a2a_pb2 import (
    ROLE_USER,
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    Message,
    Part,
    SendMessageRequest,
)
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.batch import BatchRequest
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

PLAIN, SEPARATED = "one two", "one\u2028two"
TASK = {"taskId": "t", "contextId": "c"}
batch = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/responses",
    "completion_window": "24h",
    "created_at": 1,
    "input_file_id": "input",
    "output_file_id": "output",
}
files: dict[str, bytes] = {}
stream: list[dict] = []


def as_json(content: dict) -> str:
    return json.dumps(content, ensure_ascii=False)


class Server(BaseHTTPRequestHandler):
    """A provider that runs batches, and an A2A agent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/files":
            part = next(part for part in body.split(b"\r\n--") if b'name="file"' in part)
            files["input"] = part.partition(b"\r\n\r\n")[2]
            self.answer("application/json", b'{"id": "input", "object": "file"}')
        elif self.path == "/batches":
            self.answer("application/json", as_json(batch).encode())
        else:
            results = ({"jsonrpc": "2.0", "id": "1", "result": result} for result in stream)
            events = "".join(f"data: {as_json(result)}\n\n" for result in results)
            self.answer("text/event-stream", events.encode())

    def do_GET(self) -> None:
        if self.path.startswith("/batches"):
            self.answer("application/json", as_json(batch).encode())
        else:
            self.answer("application/octet-stream", files[self.path.split("/")[2]])

    def do_DELETE(self) -> None:
        self.answer("application/json", b'{"id": "input", "object": "file", "deleted": true}')

    def answer(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
model = OpenAIResponsesModel("gpt-4o", provider=OpenAIProvider(base_url=url, api_key="unused"))


def output(custom_id: str, text: str) -> str:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
    body = {"id": "r", "object": "response", "status": "completed", "output": [message]}
    return as_json({"custom_id": custom_id, "response": {"status_code": 200, "body": body}})


async def batched(status: str, prompt: str, answers: dict[str, str]) -> str:
    batch["status"] = status
    files["output"] = "\n".join(output(*answer) for answer in answers.items()).encode()
    messages = [ModelRequest.user_text_prompt(prompt)]
    requests = [
        await model.batch_encode(BatchRequest(custom_id=custom_id, messages=messages)) for custom_id in "ab"
    ]
    created = await model.batch_status(await model.batch_create(requests))
    try:
        results = await model.batch_results(created)
    except ValueError as error:
        return type(error).__name__
    return ", ".join(f"{result.custom_id} {result.status}" for result in results)


async def streamed(text: str) -> list[str]:
    part = {"artifactId": "a", "parts": [{"text": text}]}
    stream[:] = [
        {"artifactUpdate": TASK | {"artifact": part}},
        {"statusUpdate": TASK | {"status": {"state": "TASK_STATE_COMPLETED"}}},
    ]
    card = AgentCard(
        capabilities=AgentCapabilities(streaming=True),
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
    )
    message = Message(message_id="1", role=ROLE_USER, parts=[Part(text="Hello")])
    seen = []
    async with httpx.AsyncClient() as http:
        client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        try:
            async for event in client.send_message(SendMessageRequest(message=message)):
                seen.append(str(event.WhichOneof("payload")))
        except A2AClientError as error:
            seen.append(type(error).__name__)
    return seen


def read_by_httpx_sse() -> list[str]:
    with httpx.Client() as client, httpx_sse.connect_sse(client, "POST", url, json={}) as events:
        return [next(iter(json.loads(event.data)["result"])) for event in events.iter_sse()]


async def main() -> None:
    batches = {
        "plain": await batched("completed", PLAIN, {"a": PLAIN, "b": PLAIN}),
        "in one of two answers": await batched("completed", PLAIN, {"a": SEPARATED, "b": PLAIN}),
        "plain, expired after one answer": await batched("expired", PLAIN, {"a": PLAIN}),
        "in the prompts, expired after one answer": await batched("expired", SEPARATED, {"a": PLAIN}),
    }
    streams = {
        "a2a-sdk, plain": await streamed(PLAIN),
        "a2a-sdk, separated": await streamed(SEPARATED),
        "httpx-sse, separated": read_by_httpx_sse(),
    }
    for name, ended in (batches | streams).items():
        print(f"{name}: {ended}")
    assert batches == {
        "plain": "a succeeded, b succeeded",
        "in one of two answers": "ValidationError",
        "plain, expired after one answer": "a succeeded, b expired",
        "in the prompts, expired after one answer": "ValidationError",
    }
    assert streams == {
        "a2a-sdk, plain": ["artifact_update", "status_update"],
        "a2a-sdk, separated": ["A2AClientError"],
        "httpx-sse, separated": ["artifactUpdate", "statusUpdate"],
    }


asyncio.run(asyncio.wait_for(main(), 100))
PY
