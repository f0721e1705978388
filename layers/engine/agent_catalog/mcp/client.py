"""A client of MCP servers, with as much of the protocol as tools need."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

import anyio
import httpx2
from pydantic import BaseModel, JsonValue, ValidationError

from agent_catalog.mcp.content import CallResult, ToolListing, read_result
from agent_catalog.mcp.messages import (
    INITIALIZE,
    KNOWN_VERSIONS,
    OFFERED_VERSION,
    Initialized,
    JsonObject,
    McpError,
    McpUntakenError,
    ToolPage,
)
from agent_catalog.mcp.transport import McpTransport, SessionLostError, message_of

_Message = TypeVar("_Message", bound=BaseModel)
# Some servers always name a next page. At 100 tools a page, no server has this many.
_MAX_PAGES = 100

KEY_IN_META = "agentrun/callId"
"""Where a server finds the id of a call; `_meta` is the protocol's place for such things."""


class _TimedOutError(McpError):
    """The server exceeded the time-out."""


class McpClient:
    """One run's session with one server; calls may be concurrent."""

    def __init__(self, url: str, headers: Mapping[str, str], *, timeout_s: float) -> None:
        self._transport = McpTransport(url, headers)
        self._timeout_s = timeout_s
        self._numbers = count(1)
        self._renewal = anyio.Lock()

    async def open(self, wanted: Collection[str]) -> ToolListing:
        """
        Begin the session, and list the tools of these names.

        Returns:
            The tools that the server has and a model can use, and why others are missing.

        Raises:
            McpError: The server failed before it listed any of them, or exceeded the time-out.
        """
        with self._deadline():
            await self._initialize()
            return await self._list(wanted)

    async def _list(self, wanted: Collection[str]) -> ToolListing:
        listing, cursor = ToolListing(wanted), JsonObject()
        asked: list[JsonValue] = []
        for _ in range(_MAX_PAGES):
            try:
                page = _read(ToolPage, await self._request("tools/list", cursor))
            except McpError as error:
                if not listing.found:
                    raise
                listing.end = f"the list of tools breaks off, since the server {error}"
                break
            listing.add(page.tools)
            if listing.complete or page.following is None or page.following in asked:
                break
            asked.append(page.following)
            cursor = {"cursor": page.following}
        return listing

    async def call(
        self,
        tool: str,
        arguments: JsonObject,
        *,
        before_sending: Callable[[], None],
        key: str | None = None,
    ) -> CallResult:
        """
        Call a tool; after a time-out or a cancellation, tell the server to cancel the call.

        If `before_sending` raises, so does this, and the call is not sent. The server finds `key`,
        by which it may know a call that it has seen, in the request's `_meta`.

        Raises:
            McpUntakenError: The server has not made the call.
            McpRefusalError: The server says in its own words what is wrong.
            McpError: The server failed or exceeded the time-out; it may have made the call.
        """
        number = next(self._numbers)
        try:
            with self._deadline():
                parameters: JsonObject = {"name": tool, "arguments": arguments}
                if key is not None:
                    parameters["_meta"] = {KEY_IN_META: key}
                answer = await self._request("tools/call", parameters, number, before_sending)
        except (asyncio.CancelledError, _TimedOutError):
            # Revision 2025-11-25: closing the connection does not cancel a request.
            cancelled = message_of("notifications/cancelled", {"requestId": number})
            await self._transport.say_briefly(cancelled)
            raise
        return read_result(answer)

    async def close(self) -> None:
        """End the session and its connections, in half a second at most."""
        await self._transport.close()

    async def _initialize(self) -> None:
        offer: JsonObject = {
            "protocolVersion": OFFERED_VERSION,
            # Nothing that a server could ask a client for.
            "capabilities": {},
            "clientInfo": {"name": "agentrun", "version": "1"},
        }
        result = await self._transport.request(INITIALIZE, offer, next(self._numbers))
        version = _read(Initialized, result).protocol_version
        if version not in KNOWN_VERSIONS:
            raise McpError("speaks no revision of the protocol that is known here")
        self._transport.agree(version)
        await self._transport.say(message_of("notifications/initialized", {}))

    async def _request(
        self,
        method: str,
        parameters: JsonObject,
        number: int | None = None,
        before_sending: Callable[[], None] = lambda: None,
    ) -> JsonObject:
        number = next(self._numbers) if number is None else number
        session = self._transport.session
        before_sending()
        try:
            return await self._transport.request(method, parameters, number)
        except SessionLostError:
            # A server may end a session at any time; all calls share one new session.
            async with self._renewal:
                if self._transport.session == session:
                    await self._initialize()
            before_sending()
            return await self._transport.request(method, parameters, number)

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        # No cause is chained: its text may contain an address or a header.
        try:
            with anyio.fail_after(self._timeout_s):
                yield
        except TimeoutError:
            raise _TimedOutError(f"has not answered within {self._timeout_s:g} s") from None
        except httpx2.ConnectError:
            raise McpUntakenError("cannot be reached") from None
        except httpx2.HTTPError:
            raise McpError("has broken off the connection") from None


def _read(kind: type[_Message], result: JsonObject) -> _Message:
    try:
        return kind.model_validate(result)
    except ValidationError:
        raise McpError("has given an answer of the wrong shape") from None
