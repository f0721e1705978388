"""The Agent2Agent protocol, version 1.0, by JSON-RPC: requests out, events in."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx2
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_ai import exceptions as ai
from pydantic_core import to_json

from agent_catalog.foreign.chat_wire import MAX_CHUNK_BYTES, error_of, read_within
from agent_catalog.mcp.transport import tls
from agent_catalog.models.silence import SilenceWatch

NAME = "a2a"
_CONNECT_S = 10.0
_SETTLED = frozenset(
    f"TASK_STATE_{state}"
    for state in (
        *("COMPLETED", "FAILED", "CANCELED", "REJECTED", "INPUT_REQUIRED", "AUTH_REQUIRED"),
    )
)


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, defer_build=True)


class Part(_Message):
    """A part of a message or an artifact; other kinds than text and data are named only."""

    text: str | None = None
    data: JsonValue = None
    url: str | None = None
    media_type: str | None = None

    def shown(self) -> str:
        """Return it as text."""
        if self.text is not None:
            return self.text
        if self.data is not None:
            return to_json(self.data).decode()
        return self.url or f"[{self.media_type or 'file'}]"


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


class _Error(_Message):
    code: int = 0
    message: str = ""


class _Answer(_Message):
    result: JsonValue = None
    error: _Error | None = None


class A2aClient:
    """Asks one agent; each request has a connection of its own."""

    def __init__(self, url: str, headers: Mapping[str, str], *, idle_timeout_s: float) -> None:
        self._url = url
        accepted = "text/event-stream, application/json"
        self._headers = {
            "a2a-version": "1.0",
            "accept": accepted,
            "content-type": "application/json",
            **headers,
        }
        self._idle_timeout_s = idle_timeout_s

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
        body = to_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)})
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        watch = SilenceWatch(self._idle_timeout_s, self._silent)
        try:
            async with httpx2.AsyncClient(
                timeout=timeout, verify=tls(), follow_redirects=False
            ) as http:
                request = http.build_request("POST", self._url, content=body, headers=self._headers)
                with watch:
                    response = await http.send(request, stream=True)
                try:
                    texts = self._texts(response)
                    while True:
                        with watch:
                            text = await anext(texts, None)
                        if text is None:
                            return
                        yield _result_in(text)
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
