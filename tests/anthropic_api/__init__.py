"""
A stand-in for Anthropic's Messages API.

    with anthropic_server() as server:
        server.script(MessageReply(Text("Hel", "lo")), MessageError(429))
        ...  # run something that finds it by `server.environment`

It is scripted with the steps of `tests.bedrock`, and records requests as that does.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bedrock import Reasoning, StreamException, Text, ToolUse
from tests.bedrock.answers import Block, Step, play
from tests.bedrock.model_server import Exchange, ModelServer

__all__ = ["AnthropicServer", "MessageError", "MessageReply", "anthropic_server"]


class AnthropicServer(ModelServer):
    """A running stand-in; `environment` leads the anthropic package to it."""

    def __init__(self) -> None:
        super().__init__(MessageError(400, "invalid_request_error"))
        self.environment = {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": "sk-ant-test"}


@contextmanager
def anthropic_server() -> Iterator[AnthropicServer]:
    """Serve until the end of the block."""
    server = AnthropicServer()
    with server.running():
        yield server


@dataclass(frozen=True, init=False)
class MessageReply:
    """A streamed answer; `stop` is the stop reason."""

    steps: tuple[Step, ...]
    stop: str

    def __init__(self, *steps: Step, stop: str | None = None) -> None:
        calls = any(isinstance(step, ToolUse) for step in steps)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "stop", stop or ("tool_use" if calls else "end_turn"))

    def answer(self, exchange: Exchange) -> None:
        assert exchange.request.path.partition("?")[0] == "/v1/messages"
        assert exchange.request.body["stream"] is True
        exchange.start_stream("text/event-stream")
        exchange.send(_frame("message_start", message=_MESSAGE))
        if play(self.steps, exchange, block=_block, failure=_failure):
            delta = {"stop_reason": self.stop, "stop_sequence": None}
            exchange.send(_frame("message_delta", delta=delta, usage={"output_tokens": 7}))
            exchange.send(_frame("message_stop"))
            exchange.end_stream()


@dataclass(frozen=True)
class MessageError:
    """A refusal, as Anthropic writes it."""

    status: int
    kind: str = "api_error"

    def answer(self, exchange: Exchange) -> None:
        error = {"type": self.kind, "message": "Something is wrong with req_7d1e."}
        exchange.send_json(
            self.status,
            {"type": "error", "error": error},
            {"Content-Type": "application/json"},
        )


_MESSAGE: Mapping[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "served",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 30, "output_tokens": 1},
}


def _failure(step: StreamException) -> bytes:
    return _frame("error", error={"type": step.kind, "message": step.message})


def _block(step: Block, index: int) -> Iterator[bytes]:
    if isinstance(step, Text):
        block: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": text} for text in step.deltas]
    elif isinstance(step, Reasoning):
        block = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": text} for text in step.deltas]
    else:
        block = {"type": "tool_use", "id": step.id, "name": step.name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in step.pieces]
    yield _frame("content_block_start", index=index, content_block=block)
    for delta in deltas:
        yield _frame("content_block_delta", index=index, delta=delta)
    yield _frame("content_block_stop", index=index)


def _frame(kind: str, **content: Any) -> bytes:
    data = json.dumps({"type": kind, **content}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
