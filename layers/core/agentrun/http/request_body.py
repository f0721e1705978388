"""JSON bodies, read only once the caller is known."""

import re
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agentrun.domain.errors import PayloadTooLargeError
from agentrun.http.json_body import parse_json
from agentrun.http.problems import invalid_request

MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's request limit; whatever the door, the same request is refused."""

_JSON_TYPE = re.compile(r"application/(?:[\w!#$&^.-]+\+)?json", re.ASCII)

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body]) -> Body:
    """
    Read and validate a request's JSON body.

    Raises:
        AgentrunError: As `read_json` and `validated` say.
        HTTPException: As `read_json` says.
    """
    return validated(await read_json(request), model)


async def read_json(request: Request) -> JsonValue:
    """
    Read a request's body as plain JSON.

    Raises:
        HTTPException: 415, the body is not said to be JSON in UTF-8.
        PayloadTooLargeError: More than 6 MiB; nothing of it has been parsed.
        InvalidRequestError: It is no JSON, or JSON that `parse_json` refuses.
    """
    # All of several lines, as a gateway may have joined them too.
    content_type = ", ".join(request.headers.getlist("content-type")).strip()
    if not _is_json(content_type):
        raise HTTPException(415, "The body needs the content type application/json, in UTF-8.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "The body must not be compressed.")
    return parse_json(await _bytes_of(request))


def validated(value: JsonValue, model: type[Body]) -> Body:
    """
    Check plain JSON against a model.

    Raises:
        InvalidRequestError: It is against the model; names each field at fault.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_request(error.errors(include_input=False, include_url=False)) from error


def _is_json(content_type: str) -> bool:
    """Tell JSON in UTF-8; a charset may say so, though JSON has none (RFC 8259, section 11)."""
    media_type, *parameters = content_type.lower().split(";")
    named = (parameter.partition("=") for parameter in parameters)
    charsets = {value.strip(' "') for name, _, value in named if name.strip() == "charset"}
    return _JSON_TYPE.fullmatch(media_type.strip()) is not None and charsets <= {"utf-8", "utf8"}


async def _bytes_of(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)
