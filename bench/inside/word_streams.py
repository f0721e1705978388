"""Streams of the same words in three protocols, from one server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

WORD = "word "
_TIMESTAMP = 1_796_007_964_801
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _written(told: object) -> str:
    return json.dumps(told, separators=(",", ":"))


def run_stream(words: int) -> list[bytes]:
    """Return the frames of a run."""
    start = {"runId": "r", "sessionId": "s", "agentId": "echo"}
    said = [("START", _written(start)), *[("CONTENT_DELTA", WORD)] * words]
    said.append(("STOP", _written({"runId": "r", "status": "COMPLETED"})))
    frames = []
    for number, (name, data) in enumerate(said, start=1):
        event = {"event": name, "data": data, "timestamp": _TIMESTAMP}
        frames.append(f"id: {number}\ndata: {_written(event)}\n\n".encode())
    return frames


def chat_completion(words: int) -> list[bytes]:
    """Return the chunks of a chat completion."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said = [({"content": WORD}, None)] * words
    frames = []
    for delta, reason in [*said, ({}, "stop")]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        frames.append(f"data: {_written({**chunk, 'choices': [choice]})}\n\n".encode())
    return [*frames, b"data: [DONE]\n\n"]


def response(words: int) -> list[bytes]:
    """Return the events of OpenAI's Responses."""
    about = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": []}
    about |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    said: list[tuple[str, dict[str, object]]] = [("response.created", {"response": about})]
    said += [("response.output_text.delta", {**place, "delta": WORD})] * words
    said.append(("response.completed", {"response": {**about, "status": "completed"}}))
    frames = []
    for number, (name, told) in enumerate(said):
        data = _written({"type": name, "sequence_number": number, **told})
        frames.append(f"event: {name}\ndata: {data}\n\n".encode())
    return frames


@asynccontextmanager
async def serving_words(words: int, pause_s: float) -> AsyncIterator[str]:
    """Serve all three, a chunk for each event, with a pause after each; yield the base URL."""
    streams = {
        "/api/agents/echo/runs/stream": run_stream(words),
        "/chat/completions": chat_completion(words),
        "/responses": response(words),
    }
    server = await asyncio.start_server(partial(_serve, streams, pause_s), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _serve(
    streams: dict[str, list[bytes]],
    pause_s: float,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(_HEAD)
            for frame in streams[head.split(" ")[1]]:
                writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
                await writer.drain()
                await asyncio.sleep(pause_s)
            writer.write(b"0\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
