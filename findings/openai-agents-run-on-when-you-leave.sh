#!/usr/bin/env bash
# openai-agents 0.24.0: a streamed run goes on, tools included, when its reader has left.
#
# The model has said its first word and has not called a tool yet; then the reader goes. Afterwards the
# tool pays and the model is called again, if the reader
# - breaks out of `stream_events()`, also if it closes that iterator: `aclose()` waits until the run has
#   ended, with the payment;
# - is cancelled while it hands an event on, as servers do to a streamed response whose client is gone.
# Only a reader that is cancelled while it waits for the next event stops the run, so it
# depends on the instant. Otherwise only
# `result.cancel()` does.
# One would expect closing an asynchronous generator, or cancelling its reader, to stop its work:
# pydantic-ai-slim 2.68.0 pays nothing in all of these cases.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check openai-agents==0.24.0 "pydantic-ai-slim[openai]==2.68.0" openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

set_tracing_disabled(True)
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 5}'}}
PAYS = [({"role": "assistant", "content": "Now"}, None), ({"tool_calls": [CALL]}, None), ({}, "tool_calls")]
SAYS = [({"role": "assistant", "content": "Paid."}, None), ({}, "stop")]


class Provider:
    """Sends its first word, and the rest when the reader has left."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.requests = 0
        self.answered = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = json.loads(await reader.readexactly(int(head.split("content-length:")[1].split()[0])))
        self.requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionError):
            for delta, reason in SAYS if body["messages"][-1]["role"] == "tool" else PAYS:
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                writer.write(f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode())
                await writer.drain()
                await self.left.wait()
            writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        writer.close()
        if self.requests == 2:
            self.answered.set()


async def openai_agents(url: str, paid: list[int]) -> AsyncGenerator[object]:
    """Return the events of a run, as the guide of the package reads them."""

    async def pay(amount: int) -> str:
        """Pay an amount."""
        paid.append(amount)
        return "paid"

    model = OpenAIChatCompletionsModel("m", AsyncOpenAI(base_url=url, api_key="x"))
    result = Runner.run_streamed(Agent(name="a", model=model, tools=[function_tool(pay)]), "Pay 5.")
    return result.stream_events()


async def pydantic_ai(url: str, paid: list[int]) -> AsyncGenerator[object]:
    async def pay(amount: int) -> str:
        """Pay an amount."""
        paid.append(amount)
        return "paid"

    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key="x"))
    agent = PydanticAgent(model, tools=[pay])

    async def events() -> AsyncGenerator[object]:
        async with agent.run_stream_events("Pay 5.") as stream:
            async for event in stream:
                yield event

    return events()


def says_a_word(event: object) -> bool:
    """Say whether this event holds the model's first word, in either library."""
    return "Now" in repr(event)


async def broken_off(events: AsyncGenerator[object], left: asyncio.Event) -> None:
    async for event in events:
        if says_a_word(event):
            break
    left.set()


async def closed(events: AsyncGenerator[object], left: asyncio.Event) -> None:
    async for event in events:
        if says_a_word(event):
            break
    left.set()
    await events.aclose()


async def cancelled(events: AsyncGenerator[object], left: asyncio.Event, *, handing_on: bool) -> None:
    heard = asyncio.Event()

    async def read() -> None:
        async for event in events:
            if says_a_word(event):
                heard.set()
                if handing_on:
                    await asyncio.Event().wait()  # for a client that takes no more

    reader = asyncio.create_task(read())
    await heard.wait()
    await asyncio.sleep(0)
    reader.cancel()
    with suppress(asyncio.CancelledError):
        await reader
    left.set()
    await events.aclose()


WAYS = {
    "broken off": broken_off,
    "closed": closed,
    "cancelled handing on": partial(cancelled, handing_on=True),
    "cancelled waiting": partial(cancelled, handing_on=False),
}


async def leave(library, way) -> tuple[list[int], int]:
    """Leave a run; return what it paid afterwards, and the requests that it made in all."""
    provider, paid = Provider(), []
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with asyncio.timeout(60):
        await way(await library(url, paid), provider.left)
    with suppress(TimeoutError):
        await asyncio.wait_for(provider.answered.wait(), 6)
    server.close()
    return paid, provider.requests


seen = {}
for library in (openai_agents, pydantic_ai):
    for name, way in WAYS.items():
        seen[f"{library.__name__}, {name}"] = asyncio.run(leave(library, way))
for case, (paid, requests) in seen.items():
    print(f"{case}: paid {paid}, {requests} requests")
assert seen == {
    "openai_agents, broken off": ([5], 2),
    "openai_agents, closed": ([5], 2),
    "openai_agents, cancelled handing on": ([5], 2),
    "openai_agents, cancelled waiting": ([], 1),
    "pydantic_ai, broken off": ([], 1),
    "pydantic_ai, closed": ([], 1),
    "pydantic_ai, cancelled handing on": ([], 1),
    "pydantic_ai, cancelled waiting": ([], 1),
}
PY
