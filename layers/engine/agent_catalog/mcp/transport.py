"""One MCP session over streamable HTTP: a request goes out, its answer comes back."""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from ssl import SSLContext

import anyio
import httpx2
from pydantic import JsonValue
from pydantic_core import to_json

from agent_catalog.mcp.messages import (
    INITIALIZE,
    JsonObject,
    McpError,
    McpUntakenError,
    answer_among,
    parse,
    reply_to,
    result_of,
)

# Enough for a picture in base64 beside a tool's text; of the result, 64 KB are kept.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
# To tell a server that we leave; a cancelled run has 3 s in all to end.
_GOODBYE_S = 0.5
_SHORTEST_RETRY_MS, _LONGEST_RETRY_MS = 100, 300_000
_SESSION = "mcp-session-id"
_VERSION = "mcp-protocol-version"
_CONTENT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


class SessionLostError(McpUntakenError):
    """The server no longer knows the session, and has ignored the request."""


class _Cursor:
    """How far an event stream was read, to resume it after it has broken off."""

    event_id: str = ""
    retry_s: float = 1.0
    # Whether the stream contained something that is not a message.
    garbled: bool = False

    def move(self, event: httpx2.ServerSentEvent) -> None:
        # The id is sent back as a header.
        if event.id and event.id.isascii() and event.id.isprintable():
            self.event_id = event.id
        if event.retry is not None:
            self.retry_s = min(max(event.retry, _SHORTEST_RETRY_MS), _LONGEST_RETRY_MS) / 1000


class McpTransport:
    """
    The streamable HTTP of revision 2025-11-25; requests may be concurrent.

    It has no task of its own, so that closing is safe from anywhere. It does not open the separate
    stream (by GET) for a server's own messages, which tools do not need. Callers set time-outs.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._secrets = {part for value in headers.values() for part in (value, value.split()[-1])}
        # No redirects: the headers' secrets are for this address only.
        self._http = httpx2.AsyncClient(
            headers=headers, timeout=None, verify=tls(), follow_redirects=False
        )
        self._agreed: dict[str, str] = {}

    @property
    def session(self) -> str | None:
        """The session's id, if the server has sessions."""
        return self._agreed.get(_SESSION)

    def agree(self, version: str) -> None:
        """Name the protocol's revision in all further requests."""
        self._agreed[_VERSION] = version

    async def request(self, method: str, parameters: JsonObject, number: int) -> JsonObject:
        """
        Send a request and return its result; `initialize` begins a new session.

        Args:
            method: The method's name.
            parameters: The method's parameters.
            number: The request's id, unique in the session.

        Raises:
            SessionLostError: A new session is needed; sending the request again there is safe, as
                the server has not taken it.
            McpError: The server answered with an error, or invalidly.
            httpx2.HTTPError: The connection failed.
        """
        cursor = _Cursor()
        message = message_of(method, parameters) | {"id": number}
        answer = await self._ask("POST", cursor, number, message)
        while answer is None:
            if cursor.garbled:
                raise _not_json()
            if not cursor.event_id:
                raise McpError("has broken off before its answer")
            # A server may take its time without keeping a connection open.
            await anyio.sleep(cursor.retry_s)
            answer = await self._ask_for_the_rest(cursor, number)
        return result_of(answer)

    async def say(self, message: JsonObject) -> None:
        """Send a message without an answer; a server that misses it fails at the next request."""
        with suppress(httpx2.HTTPError):
            headers = _CONTENT | self._agreed
            await self._http.post(self._url, content=_dump(message), headers=headers)

    async def say_briefly(self, message: JsonObject) -> None:
        """Send it even if the caller is being cancelled, in half a second at most."""
        with anyio.move_on_after(_GOODBYE_S, shield=True):
            await self.say(message)

    async def close(self) -> None:
        """End the session and its connections, in half a second at most."""
        with anyio.move_on_after(_GOODBYE_S, shield=True), suppress(httpx2.HTTPError):
            if self.session is not None:
                await self._http.delete(self._url, headers=self._agreed)
        with anyio.CancelScope(shield=True):
            await self._http.aclose()

    async def _ask_for_the_rest(self, cursor: _Cursor, number: int) -> JsonObject | None:
        try:
            return await self._ask("GET", cursor, number)
        except (McpError, httpx2.ConnectError) as error:
            # The server has taken the request: sending it again might do it twice.
            why = error if isinstance(error, McpError) else "cannot be reached"
            raise McpError(f"has taken the request, and now it {why}") from None

    async def _ask(
        self, verb: str, cursor: _Cursor, number: int, message: JsonObject | None = None
    ) -> JsonObject | None:
        begins = message is not None and message["method"] == INITIALIZE
        headers = _CONTENT | ({} if begins else self._agreed)
        if cursor.event_id:
            headers["last-event-id"] = cursor.event_id
        content = None if message is None else _dump(message)
        sent = self._http.stream(verb, self._url, content=content, headers=headers)
        async with sent as response:
            if begins:
                given = response.headers.get(_SESSION)
                if given and not (given.isascii() and given.isprintable()):
                    raise McpError("names its session by what does not fit into a header")
                self._agreed = {_SESSION: given} if given else {}
            return await self._answer(response, number, cursor)

    async def _answer(
        self, response: httpx2.Response, number: int, cursor: _Cursor
    ) -> JsonObject | None:
        """Return the message that answers a request; None if its stream ends without one."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.is_redirect:
            raise McpUntakenError("redirects to another address, which is not followed")
        if response.status_code == 404 and self.session is not None:
            raise SessionLostError("does not keep its sessions")
        if response.is_success and kind == "text/event-stream":
            return await self._answer_in_stream(response, number, cursor)
        # A refused GET says nothing of the request that it was to continue.
        if "json" in kind and (response.is_success or response.request.method == "POST"):
            messages = parse(await _body(response), self._secrets)
            # With an error status, the error may name no request.
            answer = answer_among(messages, number if response.is_success else None)
            if answer is not None:
                return answer
        if not response.is_success:
            kind_of_error = McpUntakenError if response.is_client_error else McpError
            raise kind_of_error(f"has answered with the status {response.status_code}")
        raise McpError("has answered with neither a message nor a stream of them")

    async def _answer_in_stream(
        self, response: httpx2.Response, number: int, cursor: _Cursor
    ) -> JsonObject | None:
        # Event streams are UTF-8, whatever the content type says.
        response.encoding = "utf-8"
        try:
            async for event in httpx2.EventSource(response, max_event_size=MAX_MESSAGE_BYTES):
                cursor.move(event)
                messages = self._messages(event, cursor)
                for reply in filter(None, map(reply_to, messages)):
                    await self.say(reply)
                answer = answer_among(messages, number)
                if answer is not None:
                    return answer
        except httpx2.SSEError:
            raise _too_large() from None
        except httpx2.TransportError:
            if not cursor.event_id:
                raise
        return None

    def _messages(self, event: httpx2.ServerSentEvent, cursor: _Cursor) -> list[JsonObject]:
        # Servers keep streams alive with other events, or with texts that are not messages.
        if not event.data:
            return []
        try:
            return parse(event.data, self._secrets)
        except McpError:
            cursor.garbled |= event.event == "message"
            return []


def message_of(method: str, parameters: Mapping[str, JsonValue]) -> JsonObject:
    """Return a notification; with an `id` added, it is a request."""
    return {"jsonrpc": "2.0", "method": method, "params": dict(parameters)}


@cache
def tls() -> SSLContext:
    """Return what servers' certificates are checked with."""
    # Reading the certificates takes 30 ms, too long for every run.
    return httpx2.create_ssl_context()


def _dump(message: JsonObject) -> bytes:
    # A model may put NaN into its arguments, which JSON does not have.
    return to_json(message, inf_nan_mode="null")


async def _body(response: httpx2.Response) -> bytes:
    read = bytearray()
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > MAX_MESSAGE_BYTES:
            raise _too_large()
    return bytes(read)


def _not_json() -> McpError:
    return McpError("has answered with something that is not JSON")


def _too_large() -> McpError:
    return McpError(f"has sent a message of more than {MAX_MESSAGE_BYTES // 2**20} MB")
