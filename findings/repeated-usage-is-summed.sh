#!/usr/bin/env bash
# A stream of OpenAI's protocol whose chunks all carry the usage so far: two of three libraries add it
# up, so that a call of 100 + 3 tokens is counted as 400 + 9.
#
# Servers send this on request (`continuous_usage_stats` of vLLM) or always, and it is a running total:
# the last one counts.
# - pydantic-ai-slim 2.68.0 and langchain-openai 1.7.4 sum it, so the prompt counts once per chunk:
#   costs grow with the number of chunks, and pydantic-ai ends this answer of 103 tokens at a limit of
#   200.
# - openai-agents 0.24.0 takes the last one.
# - pydantic-ai's setting `openai_continuous_usage_stats` has it counted once; it also asks the server
#   for it. Without the setting, a server that sends it unasked is summed.
# None warns, and tests with a server that sends the usage once do not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check "pydantic-ai-slim[openai]==2.68.0" langchain-openai==1.7.4 openai-agents==0.24.0 openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

logging.disable()

HEAD = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
WORDS = ["one ", "two ", "three"]


def stream() -> str:
    events = []
    for count, word in enumerate(WORDS, start=1):
        choice = {"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}
        events.append({"choices": [choice], "usage": usage(count)})
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events.append({"choices": [stop], "usage": usage(len(WORDS))})
    return "".join(f"data: {json.dumps(HEAD | event)}\n\n" for event in events) + "data: [DONE]\n\n"


def usage(completion: int) -> dict[str, int]:
    return {"prompt_tokens": 100, "completion_tokens": completion, "total_tokens": 100 + completion}


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = stream().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_port}/v1"


def pydantic_ai(**settings: bool) -> tuple[int, int]:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(base_url=URL, api_key="x"), settings=settings))

    async def run():
        async with agent.run_stream("Count.") as result:
            await result.get_output()
            return result.usage

    used = asyncio.run(run())
    return used.input_tokens, used.output_tokens


def limited() -> str:
    """Run with a limit of 200 tokens; return what comes of it."""
    from pydantic_ai import Agent, UsageLimitExceeded, UsageLimits
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(base_url=URL, api_key="x")))

    async def run() -> str:
        async with agent.run_stream("Count.", usage_limits=UsageLimits(total_tokens_limit=200)) as result:
            return await result.get_output()

    try:
        return asyncio.run(run())
    except UsageLimitExceeded as error:
        return type(error).__name__


def langchain() -> tuple[int, int]:
    from langchain_openai import ChatOpenAI

    used = ChatOpenAI(model="m", base_url=URL, api_key="x", streaming=True).invoke("Count.").usage_metadata
    return used["input_tokens"], used["output_tokens"]


def openai_agents() -> tuple[int, int]:
    from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)

    async def run():
        model = OpenAIChatCompletionsModel("m", AsyncOpenAI(base_url=URL, api_key="x"))
        result = Runner.run_streamed(Agent(name="a", model=model), "Count.")
        async for _ in result.stream_events():
            pass
        return result.context_wrapper.usage

    used = asyncio.run(run())
    return used.input_tokens, used.output_tokens


seen = {count.__name__: count() for count in (pydantic_ai, langchain, openai_agents)}
seen["pydantic_ai, told so"] = pydantic_ai(openai_continuous_usage_stats=True)
for name, tokens in seen.items():
    print(f"{name}: {tokens}")
assert seen == {
    "pydantic_ai": (400, 9),
    "langchain": (400, 9),
    "openai_agents": (100, 3),
    "pydantic_ai, told so": (100, 3),
}
stopped = limited()
print("pydantic_ai with a limit of 200 tokens:", stopped)
assert stopped == "UsageLimitExceeded"
PY
