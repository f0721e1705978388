"""
A stand-in for what serves OpenAI's chat completions, such as Ollama or vLLM.

    with openai_compatible_server() as server:
        server.script(ChatReply(Text("Hel", "lo")), ChatError(429))
        ...  # run something that finds it by `server.environment`

It is scripted with the steps of `tests.bedrock`, and records requests as that does; the model's
name is in `request.body["model"]`. Requests that OpenAI or a strict server of its API would refuse
are refused; `server.refused` says why.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from tests.bedrock import RawToolUse, Reasoning, StreamException, Text, ToolUse
from tests.bedrock.answers import Block, Step, play
from tests.bedrock.model_server import Exchange, ModelRequest, ModelServer
from tests.openai_compatible.rules import faults

__all__ = [
    "ChatError",
    "ChatReply",
    "OpenAiCompatibleServer",
    "Reporting",
    "openai_compatible_server",
]

TOTAL_TOKENS = 37
"""What each answer reports to have used in all."""
USAGE: dict[str, Any] = {
    "prompt_tokens": 30,
    "completion_tokens": 7,
    "total_tokens": TOTAL_TOKENS,
    "prompt_tokens_details": {"cached_tokens": 20},
}


class OpenAiCompatibleServer(ModelServer):
    """A running stand-in; `environment` leads the openai package to it."""

    def __init__(self) -> None:
        super().__init__(ChatError(400, "unscripted"))
        self.environment = {"OPENAI_BASE_URL": f"{self.url}/v1", "OPENAI_API_KEY": "sk-test"}

    def faults(self, request: ModelRequest) -> list[str]:
        """Return what a strict server would refuse a request for."""
        return faults(request.body)

    def refusal(self, request: ModelRequest) -> "ChatError":
        """Refuse as OpenAI does."""
        return ChatError(400, "invalid_request_error")


@contextmanager
def openai_compatible_server() -> Iterator[OpenAiCompatibleServer]:
    """Serve until the end of the block."""
    server = OpenAiCompatibleServer()
    with server.running():
        yield server


Reporting = Literal["at the end", "running", "never"]


@dataclass(frozen=True, init=False)
class ChatReply:
    """
    An answer, streamed as the request asks for; `finish` is the finish reason.

    `usage` says how the server reports it: at the end, as it should; unasked with each chunk, as a
    running total of a token for each; or never.
    """

    steps: tuple[Step, ...]
    finish: str
    usage: Reporting

    def __init__(
        self, *steps: Step, finish: str | None = None, usage: Reporting = "at the end"
    ) -> None:
        calls = any(isinstance(step, ToolUse | RawToolUse) for step in steps)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "finish", finish or ("tool_calls" if calls else "stop"))
        object.__setattr__(self, "usage", usage)

    def answer(self, exchange: Exchange) -> None:
        assert exchange.request.path.partition("?")[0] == "/v1/chat/completions"
        assert exchange.request.body["stream"] is True
        exchange.start_stream("text/event-stream")
        so_far = count(1)

        def block(step: Block, index: int) -> Iterator[bytes]:
            for delta in _deltas(step, index):
                more = self._running(next(so_far))
                yield _chunk({"index": 0, "delta": delta, "finish_reason": None}, **more)

        if play(self.steps, exchange, block=block, failure=_failure):
            end = {"index": 0, "delta": {}, "finish_reason": self.finish}
            exchange.send(_chunk(end, **self._running(next(so_far) - 1)))
            if self.usage == "at the end":
                exchange.send(_chunk(usage=USAGE))
            exchange.send(b"data: [DONE]\n\n")
            exchange.end_stream()

    def _running(self, tokens: int) -> dict[str, Any]:
        if self.usage != "running":
            return {}
        total = USAGE["prompt_tokens"] + tokens
        return {"usage": USAGE | {"completion_tokens": tokens, "total_tokens": total}}


@dataclass(frozen=True)
class ChatError:
    """A refusal, as OpenAI writes it."""

    status: int
    code: str | None = None

    def answer(self, exchange: Exchange) -> None:
        error = {"message": "Something is wrong with req_7d1e.", "type": "error", "code": self.code}
        exchange.send_json(self.status, {"error": error}, {"Content-Type": "application/json"})


def _failure(step: StreamException) -> bytes:
    return _frame({"error": {"message": step.message, "code": step.kind}})


def _deltas(step: Block, index: int) -> Iterator[dict[str, Any]]:
    if isinstance(step, Text):
        yield from ({"content": delta} for delta in step.deltas)
    elif isinstance(step, Reasoning):
        yield from ({"reasoning_content": delta} for delta in step.deltas)
    else:
        function = {"name": step.name, "arguments": ""}
        call = {"index": index, "id": step.id, "type": "function", "function": function}
        yield {"tool_calls": [call]}
        for piece in step.pieces:
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _chunk(*choices: Mapping[str, Any], **more: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "served"}
    return _frame({**head, "choices": choices, **more})


def _frame(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
