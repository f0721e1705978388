"""
The model of all peers: a scripted server of OpenAI's chat completions, on this machine.

A message is a script: `[tag] say 100 at 20` is answered with 100 words, 20 a second, or as fast as
they can be read if it says 0. `act 0 say …` and `pay say …` call the tool of that name first, `act
3` with three seconds to its result; `loop` calls `act` for ever. The tag tells one run's calls from
another's, so what a peer asked of its model is known without asking the peer.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

TOKENS_A_CALL = 1_000
"""What each answer says that it has used."""
_SCRIPT = re.compile(
    r"\[(?P<tag>\w+)\] (?:(?P<tool>act|pay|loop) (?P<hold>[\d.]+ )?)?"
    r"say (?P<words>\d+) at (?P<pace>\d+)"
)


@dataclass(frozen=True)
class Script:
    """A message, read."""

    tag: str
    tool: str
    hold_s: float
    words: int
    pace: int

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(words(self.words))


@dataclass
class ModelCall:
    """One request of a model; times are monotonic, `ended` None while it is answered."""

    script: Script
    began: float
    sent: int = 0
    ended: float | None = None
    is_whole: bool = False


@dataclass
class ModelServer:
    """A running model."""

    url: str = ""
    calls: list[ModelCall] = field(default_factory=list)

    def of(self, tag: str) -> list[ModelCall]:
        """Return the calls of one run."""
        return [call for call in self.calls if call.script.tag == tag]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's only request."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            body = await _request(reader)
            script, has_result = read(body["messages"])
            call = ModelCall(script, time.monotonic())
            self.calls.append(call)
            gone = asyncio.create_task(reader.read())
            work = asyncio.create_task(_write(writer, call, body, has_result))
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            call.is_whole = work.done() and not work.exception()
            call.ended = time.monotonic()
            for task in (gone, work):
                task.cancel()
            await asyncio.gather(gone, work, return_exceptions=True)
        writer.close()


def words(count: int) -> Iterator[str]:
    """Return words that are all different, so that one too many or too few is seen."""
    return (f"w{number:05d} " for number in range(count))


def read(messages: list[dict[str, Any]]) -> tuple[Script, bool]:
    """
    Find the script in a conversation.

    Returns:
        The latest script, and whether a tool's result follows it.

    Raises:
        ValueError: No message holds one.
    """
    for place in range(len(messages) - 1, -1, -1):
        content = messages[place].get("content")
        if messages[place]["role"] == "user" and (found := _SCRIPT.search(json.dumps(content))):
            script = Script(
                tag=found["tag"],
                tool=found["tool"] or "",
                hold_s=float(found["hold"] or 0),
                words=int(found["words"]),
                pace=int(found["pace"]),
            )
            return script, any(message["role"] == "tool" for message in messages[place:])
    raise ValueError("no message is a script")


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """Serve until the end of the block."""
    model = ModelServer()
    server = await asyncio.start_server(model.answer, "127.0.0.1", 0)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?im)^content-length: *(\d+)", head)
    body: dict[str, Any] = json.loads(await reader.readexactly(int(length[1]) if length else 0))
    return body


async def _write(
    writer: asyncio.StreamWriter, call: ModelCall, body: Mapping[str, Any], has_result: bool
) -> None:
    script = call.script
    calls_tool = script.tool == "loop" or (script.tool != "" and not has_result)
    finish = "tool_calls" if calls_tool else "stop"
    if not body.get("stream"):
        said = {"tool_calls": [_tool_call(call)]} if calls_tool else {"content": script.text}
        message = {"role": "assistant", "content": None, **said}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        content = json.dumps(_head("chat.completion", [choice], usage=_usage())).encode()
        writer.write(_response("application/json", len(content)) + content)
        await writer.drain()
        return
    writer.write(_response("text/event-stream", None))
    for delta in _deltas(call, calls_tool):
        writer.write(_frame([{"index": 0, "delta": delta, "finish_reason": None}]))
        await writer.drain()
        call.sent += 1
        await asyncio.sleep(1 / script.pace if script.pace and not calls_tool else 0)
    writer.write(_frame([{"index": 0, "delta": {}, "finish_reason": finish}]))
    writer.write(_frame([], usage=_usage()) + b"data: [DONE]\n\n")
    await writer.drain()


def _deltas(call: ModelCall, calls_tool: bool) -> Iterator[dict[str, Any]]:
    if calls_tool:
        made = {"index": 0, **_tool_call(call)}
        yield {"role": "assistant", "content": None, "tool_calls": [made]}
    else:
        for word in words(call.script.words):
            yield {"role": "assistant", "content": word}


def _tool_call(call: ModelCall) -> dict[str, Any]:
    script = call.script
    name = "act" if script.tool == "loop" else script.tool
    arguments: dict[str, Any] = {"note": script.tag}
    if name == "act":
        arguments["hold_s"] = script.hold_s
    function = {"name": name, "arguments": json.dumps(arguments)}
    call_id = f"call_{script.tag}_{call.began:.6f}".replace(".", "_")
    return {"id": call_id, "type": "function", "function": function}


def _usage() -> dict[str, int]:
    return {
        "prompt_tokens": TOKENS_A_CALL - 100,
        "completion_tokens": 100,
        "total_tokens": TOKENS_A_CALL,
    }


def _head(kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": kind,
        "created": 1,
        "model": "scripted",
        "choices": choices,
        **more,
    }


def _frame(choices: list[dict[str, Any]], **more: Any) -> bytes:
    return (
        b"data: " + json.dumps(_head("chat.completion.chunk", choices, **more)).encode() + b"\n\n"
    )


def _response(kind: str, length: int | None) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", "Connection: close"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
