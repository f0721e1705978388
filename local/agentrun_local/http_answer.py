"""A function's answer on its way to the client."""

from collections.abc import Iterable

from agentrun_local.http_request import Send
from agentrun_local.invocation import FunctionError, Invocation
from agentrun_local.prelude import MalformedAnswerError, Prelude, PreludeParser

# The connection's own business, or wrong once a body is sent in chunks.
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_WITHOUT_BODY = frozenset({204, 304})


class StreamBrokenError(Exception):
    """The function failed in mid-stream: the connection must be cut, not ended."""


async def send_whole(
    send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> None:
    """Send an answer at once."""
    fields = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
    if status in _WITHOUT_BODY:
        body = b""
    else:
        fields.append(("content-length", str(len(body))))
    await _start(send, status, fields)
    await send({"type": "http.response.body", "body": body})


async def send_stream(send: Send, prelude: Prelude, first: bytes, invocation: Invocation) -> None:
    """
    Send an answer as it arrives, chunk by chunk.

    Raises:
        StreamBrokenError: The function failed; what came before has been sent.
    """
    fields = [(name, value) for name, value in prelude.headers if name.lower() not in _HOP_BY_HOP]
    sends_body = prelude.status not in _WITHOUT_BODY
    await _start(send, prelude.status, fields)
    if first and sends_body:
        await send({"type": "http.response.body", "body": first, "more_body": True})
    try:
        async for chunk in invocation.body():
            if chunk and sends_body:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except FunctionError as error:
        raise StreamBrokenError from error
    await send({"type": "http.response.body", "body": b""})


async def read_prelude(invocation: Invocation) -> tuple[Prelude, bytes]:
    """
    Read from a streamed response up to its body.

    Returns:
        The prelude and the first bytes of the body, which may be empty.

    Raises:
        FunctionError: The function failed before that.
        MalformedAnswerError: The response does not begin with a prelude.
    """
    parser = PreludeParser()
    async for chunk in invocation.body():
        found = parser.feed(chunk)
        if found is not None:
            # For the log: whose end a process takes with it.
            invocation.run_id = dict(found[0].headers).get("x-run-id")
            return found
    raise MalformedAnswerError("The response ended before its prelude did.")


async def _start(send: Send, status: int, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
