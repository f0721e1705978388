"""
Reads streams with our client and with openai-python by turns, and prints what each event cost.

Runs in a process of its own: `python -m bench.inside.reading_clients URL ROUNDS`.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable

import openai

from agentrun_client import AsyncClient, Client

Read = Callable[[], int]
"""Reads a stream to its end, and returns how many events it had."""
CHAT: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "x"}]


def readers(url: str) -> dict[str, Read]:
    """Return what reads, by name; the server says as many words to each."""
    ours = Client(url, "none")
    theirs = openai.OpenAI(api_key="none", base_url=url)

    def chat() -> int:
        return sum(1 for _ in theirs.chat.completions.create(model="m", messages=CHAT, stream=True))

    return {
        "ours": lambda: sum(1 for _ in ours.runs.stream("echo", "x")),
        "openai": chat,
        "responses": lambda: sum(
            1 for _ in theirs.responses.create(model="m", input="x", stream=True)
        ),
    }


def awaited_readers(url: str) -> dict[str, Callable[[], Awaitable[int]]]:
    """Return the same of the clients that are awaited."""
    ours = AsyncClient(url, "none")
    theirs = openai.AsyncOpenAI(api_key="none", base_url=url)

    async def read_ours() -> int:
        return len([None async for _ in ours.runs.stream("echo", "x")])

    async def chat() -> int:
        stream = await theirs.chat.completions.create(model="m", messages=CHAT, stream=True)
        return len([None async for _ in stream])

    async def responses() -> int:
        stream = await theirs.responses.create(model="m", input="x", stream=True)
        return len([None async for _ in stream])

    return {"ours": read_ours, "openai": chat, "responses": responses}


def us_per_event(read: Read) -> float:
    """Return the processor time of this process, all of its threads together."""
    started = time.process_time()
    count = read()
    return (time.process_time() - started) / count * 1e6


def best_of(rounds: int, reads: dict[str, Read]) -> dict[str, float]:
    """Return the best of the rounds, the first left out: it imports and connects."""
    taken = [{name: us_per_event(read) for name, read in reads.items()} for _ in range(rounds + 1)]
    return {name: min(each[name] for each in taken[1:]) for name in reads}


def _run_in(loop: asyncio.AbstractEventLoop, read: Callable[[], Awaitable[int]]) -> Read:
    async def awaited() -> int:
        return await read()

    return lambda: loop.run_until_complete(awaited())


def main(url: str, rounds: int) -> None:
    """Measure and print."""
    gc.disable()
    loop = asyncio.new_event_loop()
    awaited = {name: _run_in(loop, read) for name, read in awaited_readers(url).items()}
    figures = {"blocking": best_of(rounds, readers(url)), "awaited": best_of(rounds, awaited)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
