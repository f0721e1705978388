"""What a service of chat completions sends: chunks of an answer, and errors."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_ai import exceptions as ai
from pydantic_ai.usage import RequestUsage

MAX_CHUNK_BYTES = 4 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024

_BY_STATUS: Mapping[int, Any] = {
    400: ai.ModelRequestRejectedError,
    401: ai.ModelAuthenticationError,
    402: ai.ModelQuotaExceededError,
    403: ai.ModelAuthenticationError,
    404: ai.ModelNotFoundError,
    422: ai.ModelRequestRejectedError,
    429: ai.ModelRateLimitError,
    503: ai.ModelUnavailableError,
    529: ai.ModelOverloadedError,
}
_BY_CODE: Mapping[str, Any] = {
    "context_length_exceeded": ai.ModelContextWindowExceededError,
    "insufficient_quota": ai.ModelQuotaExceededError,
    "rate_limit_exceeded": ai.ModelRateLimitError,
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)


class _Said(_Part):
    """What is said; servers name reasoning in two ways."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[JsonValue] | None = None


class _Choice(_Part):
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None

    @property
    def said(self) -> _Said:
        """What a chunk adds; an answer that is not streamed has all of it."""
        return self.delta or self.message or _Said()


class _Details(_Part):
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class _Usage(_Part):
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None

    def as_request_usage(self) -> RequestUsage:
        """Return it as pydantic-ai counts."""
        sent, said = self.prompt_tokens_details, self.completion_tokens_details
        return RequestUsage(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            cache_read_tokens=(sent and sent.cached_tokens) or 0,
            output_reasoning_tokens=(said and said.reasoning_tokens) or 0,
        )


class _Error(_Part):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class Chunk(_Part):
    """A part of an answer, or an answer that is not streamed."""

    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Error | str | None = None


async def chunks_of(name: str, response: httpx2.Response) -> AsyncIterator[Chunk]:
    """
    Yield the parts of an answer, until its server says that it is whole.

    Raises:
        ModelAPIError: The server tells of an error, or the connection breaks off.
        UnexpectedModelBehavior: It sends what is no chat completion.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        yield _parsed(name, (await read_within(response, MAX_CHUNK_BYTES)).decode(errors="replace"))
        return
    # Event streams are UTF-8, whatever the content type says.
    response.encoding = "utf-8"
    try:
        async for event in httpx2.EventSource(response, max_event_size=MAX_CHUNK_BYTES):
            if event.data.strip() == "[DONE]":
                return
            if event.data:
                yield _parsed(name, event.data)
    except httpx2.TransportError as error:
        raise ai.ModelConnectionError(name, type(error).__name__, in_stream=True) from error
    except httpx2.SSEError as error:
        raise ai.UnexpectedModelBehavior("The endpoint's answer cannot be read.") from error


def _parsed(name: str, text: str) -> Chunk:
    try:
        chunk = Chunk.model_validate_json(text)
    except ValidationError as error:
        raise ai.UnexpectedModelBehavior("The endpoint's answer cannot be read.") from error
    if chunk.error is None:
        return chunk
    told = _Error(message=chunk.error) if isinstance(chunk.error, str) else chunk.error
    status = told.code if isinstance(told.code, int) and 400 <= told.code < 600 else 500
    raise _error(name, status, told, in_stream=True)


def error_of(name: str, response: httpx2.Response, body: bytes) -> ai.ModelAPIError:
    """Return the error that an answer with another status than 2xx stands for."""
    try:
        told = Chunk.model_validate_json(body).error
    except ValidationError:
        told = None
    return _error(name, response.status_code, told if isinstance(told, _Error) else _Error())


def _error(name: str, status: int, told: _Error, *, in_stream: bool = False) -> ai.ModelHTTPError:
    code = str(told.code or told.type or "")
    category = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if category is None and status >= 500:
        category = ai.ModelServerError
    return ai.ModelHTTPError.for_category(
        category,
        status_code=status,
        model_name=name,
        body={"message": told.message} if told.message else None,
        provider_error_code=code or None,
        in_stream=in_stream,
    )


async def read_within(response: httpx2.Response, most: int = _MAX_ERROR_BYTES) -> bytes:
    """Read a body; one that is larger is cut, so that it cannot be parsed."""
    read = bytearray()
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > most:
            return b""
    return bytes(read)
