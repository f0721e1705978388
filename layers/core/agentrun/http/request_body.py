"""JSON bodies, read only once the caller is known."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agentrun.domain.errors import PayloadTooLargeError
from agentrun.http.problems import invalid_request

MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's request limit; whatever the door, the same request is refused."""

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body]) -> Body:
    """
    Read and validate a request's JSON body.

    Raises:
        HTTPException: 415, the body is not said to be JSON.
        PayloadTooLargeError: More than 6 MiB.
        InvalidRequestError: Not JSON, or against the model; names each field at fault.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, "The body needs the content type application/json.")
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise PayloadTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(error.errors(include_input=False, include_url=False)) from error
