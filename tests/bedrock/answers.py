"""What the stand-in for Bedrock says, as steps; see the package's docstring."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bedrock.event_stream import CONTENT_TYPE, event, exception
from tests.bedrock.model_server import Exchange


@dataclass(frozen=True, init=False)
class Text:
    """A block of text, in these deltas."""

    deltas: tuple[str, ...]

    def __init__(self, *deltas: str) -> None:
        object.__setattr__(self, "deltas", deltas)

    def block(self, index: int) -> Iterator[bytes]:
        yield from (_delta(index, {"text": delta}) for delta in self.deltas)

    def content(self) -> dict[str, Any]:
        return {"text": "".join(self.deltas)}


@dataclass(frozen=True, init=False)
class Reasoning:
    """A block of reasoning, in these deltas, signed or not."""

    deltas: tuple[str, ...]
    signature: str | None

    def __init__(self, *deltas: str, signature: str | None = None) -> None:
        object.__setattr__(self, "deltas", deltas)
        object.__setattr__(self, "signature", signature)

    def block(self, index: int) -> Iterator[bytes]:
        for delta in self.deltas:
            yield _delta(index, {"reasoningContent": {"text": delta}})
        if self.signature is not None:
            yield _delta(index, {"reasoningContent": {"signature": self.signature}})

    def content(self) -> dict[str, Any]:
        signed = {} if self.signature is None else {"signature": self.signature}
        return {"reasoningContent": {"reasoningText": {"text": "".join(self.deltas), **signed}}}


@dataclass(frozen=True)
class ToolUse:
    """A call of a tool; `cut_after` leaves out all but the first characters of its input."""

    id: str
    name: str
    input: Mapping[str, Any]
    cut_after: int | None = None

    @property
    def pieces(self) -> tuple[str, ...]:
        """The input as JSON, in two pieces."""
        text = json.dumps(self.input)[: self.cut_after]
        middle = len(text) // 2
        return text[:middle], text[middle:]

    def block(self, index: int) -> Iterator[bytes]:
        return _call_block(self, index)

    def content(self) -> dict[str, Any]:
        return {"toolUse": {"toolUseId": self.id, "name": self.name, "input": self.input}}


@dataclass(frozen=True, init=False)
class RawToolUse:
    """A call of a tool whose input comes as these pieces of text, JSON or not."""

    id: str
    name: str
    pieces: tuple[str, ...]

    def __init__(self, call_id: str, name: str, *pieces: str) -> None:
        object.__setattr__(self, "id", call_id)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "pieces", pieces)

    def block(self, index: int) -> Iterator[bytes]:
        return _call_block(self, index)

    def content(self) -> dict[str, Any]:
        raise NotImplementedError("an answer that comes at once has its input as JSON")


@dataclass(frozen=True)
class Hold:
    """Say nothing until the event is set: without one a stall, which only the client can end."""

    until: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Cut:
    """Break the connection off."""


@dataclass(frozen=True)
class EndOfStream:
    """End the HTTP answer properly, without having said that the message is over."""


@dataclass(frozen=True)
class StreamException:
    """End the stream with an exception, such as `throttlingException`."""

    kind: str
    message: str = "Something happened to request 7d1e."


Block = Text | Reasoning | ToolUse | RawToolUse
Step = Block | Hold | Cut | EndOfStream | StreamException


@dataclass(frozen=True)
class Usage:
    """The tokens that an answer reports; `inputTokens` leaves out those of the cache."""

    input_tokens: int = 10
    output_tokens: int = 5
    cache_read: int = 0
    cache_write: int = 0

    def content(self) -> dict[str, int]:
        cached = {
            "cacheReadInputTokens": self.cache_read,
            "cacheWriteInputTokens": self.cache_write,
        }
        return {
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "totalTokens": self.input_tokens + self.output_tokens + sum(cached.values()),
            **{name: count for name, count in cached.items() if count},
        }


@dataclass(frozen=True, init=False)
class Reply:
    """
    An answer of a model, streamed by ConverseStream and whole by Converse.

    `stop` is the stop reason: by default `tool_use` if there is a tool use, else `end_turn`.
    `headers_held` is a `Hold` before the very first byte.
    """

    steps: tuple[Step, ...]
    stop: str
    usage: Usage | None
    headers_held: Hold | None

    def __init__(
        self,
        *steps: Step,
        stop: str | None = None,
        usage: Usage | None = Usage(),
        headers_held: Hold | None = None,
    ) -> None:
        calls = any(isinstance(step, ToolUse | RawToolUse) for step in steps)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "stop", stop or ("tool_use" if calls else "end_turn"))
        object.__setattr__(self, "usage", usage)
        object.__setattr__(self, "headers_held", headers_held)

    def answer(self, exchange: Exchange) -> None:
        if self.headers_held:
            exchange.hold(self.headers_held.until)
        if exchange.request.path.endswith("/converse"):
            self._at_once(exchange)
        else:
            self._streamed(exchange)

    def _at_once(self, exchange: Exchange) -> None:
        for step in self.steps:
            if isinstance(step, Hold):
                exchange.hold(step.until)
            elif isinstance(step, Cut | EndOfStream):
                return exchange.cut()
            elif isinstance(step, StreamException):
                kind = f"{step.kind[0].upper()}{step.kind[1:]}"
                return HttpError(500, kind, step.message).answer(exchange)
        blocks = [step.content() for step in self.steps if isinstance(step, Block)]
        body = {
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": self.stop,
            "usage": (self.usage or Usage(0, 0)).content(),
            "metrics": {"latencyMs": 1},
        }
        return exchange.send_json(200, body, {"Content-Type": "application/json"})

    def _streamed(self, exchange: Exchange) -> None:
        exchange.start_stream(CONTENT_TYPE)
        exchange.send(event("messageStart", {"role": "assistant"}))
        if play(self.steps, exchange, block=_block, failure=_failure):
            exchange.send(event("messageStop", {"stopReason": self.stop}))
            if self.usage is not None:
                figures = {"usage": self.usage.content(), "metrics": {"latencyMs": 1}}
                exchange.send(event("metadata", figures))
            exchange.end_stream()


def play(
    steps: Iterable[Step],
    exchange: Exchange,
    *,
    block: Callable[[Block, int], Iterable[bytes]],
    failure: Callable[[StreamException], bytes],
) -> bool:
    """Stream steps in a provider's own form; return whether its answer is still to be ended."""
    for index, step in enumerate(steps):
        match step:
            case Hold():
                exchange.hold(step.until)
            case Cut():
                exchange.cut()
                return False
            case EndOfStream() | StreamException():
                if isinstance(step, StreamException):
                    exchange.send(failure(step))
                exchange.end_stream()
                return False
            case _:
                for encoded in block(step, index):
                    exchange.send(encoded)
    return True


@dataclass(frozen=True)
class HttpError:
    """A refusal, as AWS's JSON protocol writes it."""

    status: int
    code: str
    message: str = "Something is wrong with request 7d1e."

    def answer(self, exchange: Exchange) -> None:
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": self.code}
        exchange.send_json(self.status, {"message": self.message}, headers)


def _call_block(call: ToolUse | RawToolUse, index: int) -> Iterator[bytes]:
    start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
    yield event("contentBlockStart", {"contentBlockIndex": index, "start": start})
    for piece in call.pieces:
        yield _delta(index, {"toolUse": {"input": piece}})


def _block(step: Block, index: int) -> Iterator[bytes]:
    yield from step.block(index)
    yield event("contentBlockStop", {"contentBlockIndex": index})


def _failure(step: StreamException) -> bytes:
    return exception(step.kind, {"message": step.message})


def _delta(index: int, delta: Mapping[str, Any]) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
