#!/usr/bin/env bash
# agno 3.1.10: `cancel_run` ends a streamed run at once, and the model goes on with its answer.
#
# The caller's stream ends within a tenth of a second and the record says CANCELLED, but nobody closes
# the response of the model. It stays open until Python's garbage collector happens to find it: here the
# provider writes all of its 40 words, and in a server of AgentOS it wrote on for 29 s, until its answer
# was whole. Tokens are paid for as long as they are generated.
# - So it is for `run` and for `arun`, and if the reader leaves and closes the iterator.
# - If the task that reads is cancelled, or after some passes of the collector, the connection closes.
# The events of a cancelled run end with RunCancelled and then RunCompleted, so who takes RunCompleted for
# success takes a cancelled run for one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check agno==3.1.10 openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.models.openai import OpenAIChat

logging.disable()
WORDS = 40


class Provider:
    """Says a word every 50 ms until its caller hangs up."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        hung_up = asyncio.create_task(reader.read())
        with suppress(ConnectionError):
            while self.sent < WORDS and not hung_up.done():
                choice = {"index": 0, "delta": {"content": f"word {self.sent} "}, "finish_reason": None}
                chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                writer.write(f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode())
                await writer.drain()
                self.sent += 1
                await asyncio.sleep(0.05)
            writer.write(b"data: [DONE]\n\n")
        hung_up.cancel()
        writer.close()
        self.ended.set()


@asynccontextmanager
async def provided() -> AsyncIterator[tuple[Provider, Agent]]:
    provider = Provider()
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    model = OpenAIChat(id="m", base_url=url, api_key="x")
    yield provider, Agent(model=model, db=InMemoryDb(), telemetry=False)
    server.close()


class Reader:
    """Notes the events of a run, and cancels it at the tenth word if it is told to."""

    def __init__(self, cancels: bool = True) -> None:
        self.cancels = cancels
        self.words = 0
        self.others: list[str] = []
        self.run = ("", "")

    def hear(self, event) -> None:
        self.run = (event.run_id, event.session_id)
        if event.event != "RunContent":
            self.others.append(event.event)
            return
        self.words += 1
        if self.words == 10 and self.cancels:
            Agent.cancel_run(event.run_id)


async def cancelled(provider: Provider, agent: Agent) -> Reader:
    reader = Reader()
    async for event in agent.arun("Go.", stream=True, stream_events=True):
        reader.hear(event)
    return reader


async def cancelled_synchronously(provider: Provider, agent: Agent) -> Reader:
    reader = Reader()

    def read() -> None:
        for event in agent.run("Go.", stream=True, stream_events=True):
            reader.hear(event)

    await asyncio.to_thread(read)
    return reader


async def cancelled_and_collected(provider: Provider, agent: Agent) -> Reader:
    reader = await cancelled(provider, agent)
    for _ in range(5):
        gc.collect()
        await asyncio.sleep(0.05)
    return reader


async def closed(provider: Provider, agent: Agent) -> Reader:
    reader = Reader(cancels=False)
    events = agent.arun("Go.", stream=True, stream_events=True)
    async for event in events:
        reader.hear(event)
        if reader.words == 10:
            break
    await events.aclose()
    return reader


async def task_cancelled(provider: Provider, agent: Agent) -> Reader:
    reader, heard = Reader(cancels=False), asyncio.Event()

    async def read() -> None:
        async for event in agent.arun("Go.", stream=True, stream_events=True):
            reader.hear(event)
            if reader.words == 10:
                heard.set()

    task = asyncio.create_task(read())
    await heard.wait()
    await asyncio.sleep(0)  # now it waits for the model
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return reader


async def leave(way) -> tuple[str, list[str], int, bool]:
    """Leave a run; return its status, last events, words of the model at that moment, and if it said all."""
    async with asyncio.timeout(60), provided() as (provider, agent):
        reader = await way(provider, agent)
        sent = provider.sent
        await provider.ended.wait()
        kept = await agent.aget_run_output(*reader.run)
        return kept.status.name, reader.others[2:], sent, provider.sent == WORDS


seen = {}
for way in (cancelled, cancelled_synchronously, cancelled_and_collected, closed, task_cancelled):
    status, events, sent, said_all = asyncio.run(leave(way))
    print(f"{way.__name__}: {status}, {events}; left at word {sent}, the model said all: {said_all}")
    assert sent < WORDS
    seen[way.__name__] = (status, events, said_all)
ENDS = ["RunCancelled", "RunCompleted"]
assert seen == {
    "cancelled": ("cancelled", ENDS, True),
    "cancelled_synchronously": ("cancelled", ENDS, True),
    "cancelled_and_collected": ("cancelled", ENDS, False),
    "closed": ("cancelled", [], True),
    "task_cancelled": ("cancelled", [], False),
}
PY
