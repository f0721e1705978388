#!/usr/bin/env bash
# Two libraries that give a cut answer the finish reason `stop`, which the provider never sent.
#
# The provider's stream ends properly after its first words, without a finish reason, as a proxy ends it
# when its upstream is gone.
# - litellm 1.110.2 adds a last chunk with `stop` for Gemini and for text completions. For Anthropic and
#   for OpenAI's chats the same cut raises MidStreamFallbackError, so a test with one provider says
#   nothing about another.
# - pydantic-ai-slim 2.68.0 sets `finish_reason` of the response to `stop` and its `state` to `complete`
#   with OpenAIChatModel. The profile's `openai_chat_streaming_requires_finish_reason`, off by itself,
#   makes it raise ModelAPIError.
# So "the finish reason is `stop`" does not prove that an answer is whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check litellm==1.110.2 'pydantic-ai-slim[openai]==2.68.0'
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" - <<'PY'
import asyncio
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

logging.disable()
litellm.suppress_debug_info = True
litellm.telemetry = False


def openai(kind: str, **choice: object) -> list[dict]:
    choices = [{"index": 0, "finish_reason": None, **choice}]
    return [{"id": "c", "object": kind, "created": 1, "model": "model", "choices": choices}]


MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "model", "content": []}
TEXT = {"type": "text_delta", "text": "Hal"}
CHAT = openai("chat.completion.chunk", delta={"role": "assistant", "content": "Hal"})
STREAMS = {
    "openai/gpt-4o": CHAT,
    "anthropic/claude-sonnet-4-5": [
        {"type": "message_start", "message": MESSAGE | {"usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": TEXT},
    ],
    "gemini/gemini-2.5-flash": [
        {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hal"}]}}]}
    ],
    "text-completion-openai/model": openai("text_completion", text="Hal", logprobs=None),
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
url = f"http://127.0.0.1:{server.server_port}"


def by_litellm(model: str) -> str:
    asked = [{"role": "user", "content": "Hello"}]
    try:
        chunks = list(
            litellm.completion(
                model=model, messages=asked, stream=True, api_base=url, api_key="unused", max_retries=0
            )
        )
    except litellm.exceptions.MidStreamFallbackError as error:
        return type(error).__name__
    return f"{chunks[0].choices[0].delta.content} {chunks[-1].choices[0].finish_reason}"


async def by_pydantic_ai(profile: OpenAIModelProfile | None) -> str:
    provider = OpenAIProvider(base_url=url, api_key="unused")
    agent = Agent(OpenAIChatModel("gpt-4o", provider=provider, profile=profile))
    try:
        async with agent.run_stream("Hello") as stream:
            text = await stream.get_output()
            return f"{text} {stream.response.finish_reason} {stream.response.state}"
    except Exception as error:
        return type(error).__name__


seen = {}
for model, events in STREAMS.items():
    seen[model] = by_litellm(model)
events = CHAT
seen["pydantic-ai"] = asyncio.run(by_pydantic_ai(None))
strict = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
seen["pydantic-ai, strict"] = asyncio.run(by_pydantic_ai(strict))
for name, ended in seen.items():
    print(f"{name}: {ended}")
assert seen == {
    "openai/gpt-4o": "MidStreamFallbackError",
    "anthropic/claude-sonnet-4-5": "MidStreamFallbackError",
    "gemini/gemini-2.5-flash": "Hal stop",
    "text-completion-openai/model": "Hal stop",
    "pydantic-ai": "Hal stop complete",
    "pydantic-ai, strict": "ModelAPIError",
}
PY
