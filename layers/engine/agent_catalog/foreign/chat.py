"""A service of chat completions that answers in an agent's place, as a model of pydantic-ai."""

import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import httpx2
from pydantic import JsonValue
from pydantic_ai import RunContext
from pydantic_ai import exceptions as ai
from pydantic_ai.messages import (
    BinaryContent,
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponseStreamEvent,
    SystemPromptPart,
    TextPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_json

from agent_catalog.foreign.chat_wire import Chunk, chunks_of, error_of, read_within
from agent_catalog.foreign.endpoint import Endpoint
from agent_catalog.mcp.entry import HeaderValueError
from agent_catalog.mcp.transport import tls
from agent_catalog.models.factory import idle_timeout_s
from agent_catalog.models.guarded import CheckedModel, GuardedModel
from agent_catalog.secret_variables import SecretsUnavailableError, secret_variables
from agentrun.domain.errors import EngineError

_CONNECT_S = 10.0
_AS_CHAT_COMPLETIONS = {"stop_sequences": "stop"}
_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
}
_log = logging.getLogger(__name__)


async def endpoint_model(agent_id: str, endpoint: Endpoint) -> Model:
    """
    Return an endpoint as the model of one run.

    Raises:
        EngineError: Its key is not there.
    """
    model = ChatModel(endpoint, await headers_of(agent_id, endpoint))
    return CheckedModel(GuardedModel(model, idle_timeout_s=idle_timeout_s()))


async def headers_of(agent_id: str, endpoint: Endpoint) -> Mapping[str, str]:
    """Return the headers with the key; EngineError if it is not there."""
    try:
        return endpoint.headers(await secret_variables())
    except (HeaderValueError, SecretsUnavailableError) as error:
        _log.warning("The endpoint of the agent '%s' is not set up: %s", agent_id, error)
        raise EngineError(
            "The key of the agent's endpoint is missing, or cannot be read at the moment.",
            error_type="MODEL_ERROR",
        ) from error


class ChatModel(Model):
    """
    An agent behind an API of chat completions; it has tools of its own and is offered none.

    A request is sent once: what the agent has done for one that failed nobody knows.
    """

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        # Otherwise pydantic-ai explains to the agent how it would be told of changed instructions.
        super().__init__(profile=ModelProfile(supports_inline_system_prompts=True))
        # Some services, such as Azure OpenAI, have their API's version in the query.
        base, mark, query = str(endpoint.openai).partition("?")
        self._url = f"{base.rstrip('/')}/chat/completions{mark}{query}"
        self._name = str(endpoint.model)
        self._headers = dict(headers)

    @property
    def model_name(self) -> str:
        """What the endpoint is asked for."""
        return self._name

    @property
    def system(self) -> str:
        """Not the name of a provider whose prices are known."""
        return "endpoint"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Request an answer and return it whole."""
        async with self.request_stream(
            messages, model_settings, model_request_parameters
        ) as response:
            async for _ in response:
                pass
            return response.get()

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,  # noqa: ARG002 - inherited
    ) -> AsyncGenerator[StreamedResponse]:
        """Request a streamed answer; leaving the block closes its connection."""
        body = _body(self._name, messages, model_settings)
        # A connection for each request: a process may be frozen between two. Silence is watched by
        # the guard around this model.
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        try:
            async with (
                httpx2.AsyncClient(timeout=timeout, verify=tls(), follow_redirects=False) as http,
                http.stream("POST", self._url, content=body, headers=self._sent()) as response,
            ):
                if not response.is_success:
                    raise error_of(self._name, response, await read_within(response))
                yield _ChatStream(model_request_parameters, self._name, response)
        except httpx2.TransportError as error:
            raise ai.ModelConnectionError(self._name, type(error).__name__) from error

    def _sent(self) -> dict[str, str]:
        accepted = {"accept": "text/event-stream, application/json"}
        return {"content-type": "application/json", **accepted, **self._headers}


@dataclass
class _ChatStream(StreamedResponse):
    """One answer as it comes."""

    _name: str
    _response: httpx2.Response
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Many servers do not count.
    _usage_received: bool | None = field(default=False, init=False)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        async for chunk in chunks_of(self._name, self._response):
            for event in self._events(chunk):
                yield event

    def _events(self, chunk: Chunk) -> list[ModelResponseStreamEvent]:
        if chunk.usage is not None:
            self._add_usage(chunk.usage.as_request_usage(), reported=True, cumulative=True)
        parts, events = self._parts_manager, list[ModelResponseStreamEvent]()
        for choice in chunk.choices[:1]:
            said = choice.said
            if said.tool_calls:
                raise ai.UnexpectedModelBehavior("The endpoint calls a tool; it is offered none.")
            if thought := said.reasoning_content or said.reasoning:
                events += parts.handle_thinking_delta(vendor_part_id="reasoning", content=thought)
            if text := said.content or said.refusal:
                events += parts.handle_text_delta(vendor_part_id="content", content=text)
            if choice.finish_reason:
                self.provider_details = {"finish_reason": choice.finish_reason}
                self.finish_reason = _REASONS.get(choice.finish_reason)
        return events

    async def close_stream(self) -> None:
        """Close the connection."""
        await self._response.aclose()

    @property
    def model_name(self) -> str:
        """What the endpoint was asked for."""
        return self._name

    @property
    def provider_name(self) -> str:
        """Not a provider whose prices are known."""
        return "endpoint"

    @property
    def provider_url(self) -> None:
        """Return nothing: the address is the deployer's affair."""
        return None

    @property
    def timestamp(self) -> datetime:
        """When the answer began."""
        return self._timestamp


def _body(name: str, messages: Sequence[ModelMessage], settings: ModelSettings | None) -> bytes:
    given = dict(cast("Mapping[str, Any]", settings or {}))
    more = given.pop("extra_body", None) or {}
    named = {_AS_CHAT_COMPLETIONS.get(key, key): value for key, value in given.items()}
    said = [message for sent in messages for message in _messages(sent)]
    instructions = next(
        (m.instructions for m in reversed(messages) if isinstance(m, ModelRequest)), None
    )
    if instructions:
        said.insert(0, {"role": "system", "content": instructions})
    asked = {"model": name, "messages": said, "stream": True}
    counted = {"stream_options": {"include_usage": True}}
    # A number that JSON does not have may be among the settings.
    return to_json({**named, **more, **counted, **asked}, inf_nan_mode="null")


def _messages(message: ModelMessage) -> list[dict[str, JsonValue]]:
    if isinstance(message, ModelRequest):
        return [_sent(part) for part in message.parts]
    # Its reasoning is nobody else's affair.
    said = "".join(part.content for part in message.parts if isinstance(part, TextPart))
    return [{"role": "assistant", "content": said}] if said else []


def _sent(part: ModelRequestPart) -> dict[str, JsonValue]:
    match part:
        case SystemPromptPart():
            return {"role": "system", "content": part.content}
        case UserPromptPart(content=str(text)):
            return {"role": "user", "content": text}
        case UserPromptPart(content=content):
            return {"role": "user", "content": [_content(item) for item in content]}
        case _:
            # Results of tools have become text, since the endpoint is offered none.
            return {"role": "user", "content": str(getattr(part, "content", ""))}


def _content(item: UserContent) -> JsonValue:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, BinaryContent):
        return {"type": "text", "text": f"[{type(item).__name__}]"}
    url = f"data:{item.media_type};base64,{b64encode(item.data).decode()}"
    if item.is_image:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": "file", "file_data": url}}
