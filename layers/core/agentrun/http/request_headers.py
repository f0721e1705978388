"""What requests say in their headers: where to go on, and which of them are the same."""

import json
import re

from starlette.requests import Request

from agentrun.domain.errors import InvalidRequestError
from agentrun.service.start_run import Idempotency

# An id beyond this is no event's; Python would read numbers of any length.
_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def cursor_of(request: Request) -> int:
    """
    Read the id of the last event that a client has seen, 0 for none.

    `Last-Event-ID` (HTML standard, "Server-sent events") is what an EventSource sends by itself;
    the query `lastEventId` is for clients that cannot set a header.

    Raises:
        InvalidRequestError: It is not a non-negative integer.
    """
    header = request.headers.get("last-event-id")
    text = header if header is not None else request.query_params.get("lastEventId", "")
    if text == "":
        return 0
    if not _CURSOR.fullmatch(text):
        raise InvalidRequestError(
            "The last event's id must be a non-negative integer.",
            params=[("Last-Event-ID", "must be a non-negative integer")],
        )
    return int(text)


async def idempotency_of(request: Request) -> Idempotency | None:
    """
    Read the Idempotency-Key of a request whose body has been found valid.

    Raises:
        InvalidRequestError: The key is not 1 to 255 visible ASCII characters.
    """
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _IDEMPOTENCY_KEY.fullmatch(keys[0]):
        raise InvalidRequestError(
            "The Idempotency-Key must be 1 to 255 visible ASCII characters.",
            params=[("Idempotency-Key", "must be 1 to 255 visible ASCII characters")],
        )
    return Idempotency(key=keys[0], body=json.loads(await request.body()))
