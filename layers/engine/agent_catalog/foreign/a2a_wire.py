"""The Agent2Agent protocol, versions 1.0 and 0.3, by JSON-RPC: requests out, events in."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_ai import exceptions as ai
from pydantic_core import to_json

from agent_catalog.foreign.a2a_card import interface_in, is_card
from agent_catalog.foreign.a2a_versions import V0_3, V1, Version
from agent_catalog.foreign.chat_wire import MAX_CHUNK_BYTES, error_of, read_within
from agent_catalog.mcp.transport import tls
from agent_catalog.models.silence import SilenceWatch

NAME = "a2a"
_CONNECT_S = 10.0
_METHOD_NOT_FOUND = "-32601"
_STATE = "TASK_STATE_"
_KINDS = {
    "task": "task",
    "message": "message",
    "status-update": "statusUpdate",
    "artifact-update": "artifactUpdate",
}
"""What version 0.3 calls the fields of an event of 1.0."""
_SETTLED = frozenset(
    f"{_STATE}{state}"
    for state in (
        *("COMPLETED", "FAILED", "CANCELED", "REJECTED", "INPUT_REQUIRED", "AUTH_REQUIRED"),
    )
)


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, defer_build=True)


class _File(_Message):
    uri: str | None = None
    mime_type: str | None = None


class Part(_Message):
    """A part of a message or an artifact; other kinds than text and data are named only."""

    text: str | None = None
    data: JsonValue = None
    url: str | None = None
    media_type: str | None = None
    # Of version 0.3.
    file: _File = _File()

    def shown(self) -> str:
        """Return it as text."""
        if self.text is not None:
            return self.text
        if self.data is not None:
            return to_json(self.data).decode()
        kind = self.media_type or self.file.mime_type
        return self.url or self.file.uri or f"[{kind or 'file'}]"


class _Said(_Message):
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """All of its parts."""
        return "".join(part.shown() for part in self.parts)


class Message(_Said):
    """What the agent says."""

    context_id: str = ""
    task_id: str = ""


class Status(_Message):
    """How a task is doing."""

    state: str = ""
    message: Message | None = None

    @field_validator("state")
    @classmethod
    def _of_any_version(cls, state: str) -> str:
        """Read `input-required` of version 0.3 as `TASK_STATE_INPUT_REQUIRED`."""
        if not state or state.startswith(_STATE):
            return state
        return _STATE + state.upper().replace("-", "_")

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens before somebody sends another message."""
        return self.state in _SETTLED


class Artifact(_Said):
    """A result of a task."""

    artifact_id: str = ""


class Task(_Message):
    """A task and all of its results so far."""

    id: str
    context_id: str = ""
    status: Status = Status()
    artifacts: tuple[Artifact, ...] = ()


class StatusUpdate(_Message):
    """A change of a task's status."""

    task_id: str = ""
    context_id: str = ""
    status: Status = Status()


class ArtifactUpdate(_Message):
    """A new result, or more of one."""

    task_id: str = ""
    context_id: str = ""
    artifact: Artifact = Artifact()
    append: bool = False


class Event(_Message):
    """Exactly one of these."""

    task: Task | None = None
    message: Message | None = None
    status_update: StatusUpdate | None = None
    artifact_update: ArtifactUpdate | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_any_version(cls, told: Any) -> Any:
        """Read an event of version 0.3, which says itself of which kind it is."""
        kind = told.get("kind") if isinstance(told, dict) else None
        return {_KINDS[kind]: told} if isinstance(kind, str) and kind in _KINDS else told


class _Error(_Message):
    code: int = 0
    message: str = ""


class _Answer(_Message):
    result: JsonValue = None
    error: _Error | None = None


class A2aClient:
    """
    Asks one agent; each request has a connection of its own.

    The agent's card says which version it speaks. Without one, it is asked in version 1.0, and in
    0.3 where it does not know that version's methods.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, idle_timeout_s: float) -> None:
        self._url = url
        self._version: Version | None = None
        accepted = "text/event-stream, application/json"
        self._headers = {"accept": accepted, "content-type": "application/json", **headers}
        self._idle_timeout_s = idle_timeout_s

    @property
    def tells_task_first(self) -> bool:
        """Whether a stream that is attached to a task begins with what the task has so far."""
        return (self._version or V1).tells_task_first

    async def call(self, method: str, params: Mapping[str, JsonValue]) -> Any:
        """
        Return the result of a method that is not streamed.

        Raises:
            ModelAPIError: The agent cannot be reached, is silent, or answers with an error.
            UnexpectedModelBehavior: It answers with something else.
        """
        results = [result async for result in self._results(method, params)]
        return results[0] if results else None

    async def events(
        self, method: str, params: Mapping[str, JsonValue]
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a streaming method as they come; raises as `call` does."""
        async for result in self._results(method, params):
            try:
                yield Event.model_validate(result)
            except ValidationError as error:
                raise _unreadable() from error

    async def _results(
        self, method: str, params: Mapping[str, JsonValue]
    ) -> AsyncGenerator[JsonValue, None]:
        await self.read_card()
        version = self._version or V1
        try:
            async with aclosing(self._asked(version, method, params)) as results:
                async for result in results:
                    self._version = version
                    yield result
                return
        except ai.ModelAPIError as error:
            # It has done nothing: a method that it does not know.
            if self._version is not None or error.provider_error_code != _METHOD_NOT_FOUND:
                raise
        self._version = V0_3
        async with aclosing(self._asked(V0_3, method, params)) as results:
            async for result in results:
                yield result

    async def read_card(self) -> None:
        """
        Find the interface and its version, if the address is that of a card; once.

        Raises:
            UserError: The card names no interface that can be used.
            ModelAPIError, UnexpectedModelBehavior: As `call` does.
        """
        if self._version is not None or not is_card(self._url):
            return
        async with aclosing(self._texts_of("GET", self._headers)) as texts:
            card = "".join([text async for text in texts])
        self._url, self._version = interface_in(card.encode(), self._url)

    async def _asked(
        self, version: Version, method: str, params: Mapping[str, JsonValue]
    ) -> AsyncGenerator[JsonValue, None]:
        name, asked = version.request(method, params)
        body = to_json({"jsonrpc": "2.0", "id": 1, "method": name, "params": asked})
        headers = {**self._headers, **version.headers}
        async with aclosing(self._texts_of("POST", headers, body)) as texts:
            async for text in texts:
                yield _result_in(text)

    async def _texts_of(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncGenerator[str, None]:
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        watch = SilenceWatch(self._idle_timeout_s, self._silent)
        try:
            async with httpx2.AsyncClient(
                timeout=timeout, verify=tls(), follow_redirects=False
            ) as http:
                request = http.build_request(method, self._url, content=body, headers=headers)
                with watch:
                    response = await http.send(request, stream=True)
                try:
                    texts = self._texts(response)
                    while True:
                        with watch:
                            text = await anext(texts, None)
                        if text is None:
                            return
                        yield text
                finally:
                    await response.aclose()
        except httpx2.TransportError as error:
            raise ai.ModelConnectionError(NAME, type(error).__name__) from error
        finally:
            watch.close()

    async def _texts(self, response: httpx2.Response) -> AsyncGenerator[str, None]:
        if not response.is_success:
            raise error_of(NAME, response, await read_within(response))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            yield (await read_within(response, MAX_CHUNK_BYTES)).decode(errors="replace")
            return
        # Event streams are UTF-8, whatever the content type says.
        response.encoding = "utf-8"
        try:
            async for event in httpx2.EventSource(response, max_event_size=MAX_CHUNK_BYTES):
                if event.data:
                    yield event.data
        except httpx2.SSEError as error:
            raise _unreadable() from error

    def _silent(self) -> ai.ModelTimeoutError:
        return ai.ModelTimeoutError(NAME, f"silent for {self._idle_timeout_s} s")


def _result_in(text: str) -> JsonValue:
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError as error:
        raise _unreadable() from error
    if answer.error is not None:
        code = str(answer.error.code)
        raise ai.ModelAPIError(NAME, f"JSON-RPC error {code}", provider_error_code=code)
    return answer.result


def _unreadable() -> ai.UnexpectedModelBehavior:
    return ai.UnexpectedModelBehavior("The endpoint's answer cannot be read.")
