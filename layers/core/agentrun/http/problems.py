"""Errors as problem+json (RFC 9457): the one table from error to status."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NotRequired
from urllib.parse import quote

from pydantic import Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler
from typing_extensions import TypedDict

from agentrun.domain import errors

RETRY_AFTER_S = 2

log = logging.getLogger(__name__)

PROBLEMS: dict[type[errors.AgentrunError], tuple[int, str]] = {
    errors.InvalidRequestError: (400, "invalid-request"),
    errors.UnauthenticatedError: (401, "unauthorized"),
    errors.ForbiddenError: (403, "forbidden"),
    errors.NotFoundError: (404, "resource-not-found"),
    errors.ConflictError: (409, "conflict"),
    errors.PayloadTooLargeError: (413, "payload-too-large"),
    errors.TooManyRunsError: (429, "too-many-runs"),
    errors.RunFailedError: (502, "run-failed"),
    errors.RunGoesOnError: (503, "unavailable"),
    errors.StoreUnavailableError: (503, "unavailable"),
    errors.IssuerUnavailableError: (503, "unavailable"),
    errors.BrokenAgentError: (500, "internal-error"),
    errors.FencedError: (500, "internal-error"),
    errors.EngineError: (502, "run-failed"),
}
"""Status and type of each branch of the tree; a test proves that no branch is missing."""

TITLES = {
    "invalid-request": "The request is not valid",
    "unauthorized": "Authentication is needed",
    "forbidden": "Not allowed",
    "resource-not-found": "Not found",
    "method-not-allowed": "Method not allowed",
    "conflict": "Conflict",
    "payload-too-large": "The request is too large",
    "unsupported-media-type": "Unsupported media type",
    "too-many-runs": "Too many requests",
    "internal-error": "Internal error",
    "run-failed": "The run failed",
    "unavailable": "Temporarily unavailable",
}
_TYPE_OF_STATUS = {
    404: "resource-not-found",
    405: "method-not-allowed",
    413: "payload-too-large",
    415: "unsupported-media-type",
}
STATUSES = {kind: status for status, kind in (*PROBLEMS.values(), *_TYPE_OF_STATUS.items())}
"""The status of each type."""
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_AFTER_S)}}
_MAX_INSTANCE_CHARACTERS = 256
"""Longer than any path of ours; an unknown path is not worth repeating in full."""
_MAX_TEXT_CHARACTERS = 500
_MAX_INVALID_PARAMS = 20
"""Clients may send any number of fields with names of any length; refusals stay short."""

# pydantic's own words for these are Python's, not JSON's, or make no sentence behind a name.
_REASONS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_too_long": "must have at most {max_length} characters",
    "string_type": "must be a string",
    "too_long": "must have at most {max_length} items",
    "too_short": "needs at least one valid item",
    "tuple_type": "must be an array",
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
}
_SHOULD = re.compile(r"(?:Input|\w+) should ")
_VERBS = ("must ", "is ", "has ", "needs ", "cannot ")
_LOGGED = (errors.StoreUnavailableError, errors.EngineError)
"""Errors that are not the caller's fault, and whose cause nothing else logs."""
_OF_RUNS = (errors.RunFailedError, errors.RunGoesOnError)
_INTERNAL = "Something went wrong on our side."


class InvalidParam(TypedDict):
    """A field at fault, and why."""

    name: str
    reason: str


class Problem(TypedDict):
    """What went wrong (RFC 9457). `detail` is for people; decide by `status` or `type`."""

    type: Annotated[
        str, Field(json_schema_extra={"enum": [f"urn:problem-type:{kind}" for kind in TITLES]})
    ]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    instance: Annotated[str, Field(description="The path that was asked for.")]
    invalidParams: NotRequired[Annotated[list[InvalidParam], Field(min_length=1)]]
    runId: NotRequired[Annotated[str, Field(description="The run that has failed, or goes on.")]]


def problem(
    request: Request,
    status: int,
    kind: str,
    detail: str,
    *,
    invalid_params: Sequence[InvalidParam] = (),
    run_id: str | None = None,
) -> Response:
    """Write one problem."""
    body: Problem = {
        "type": f"urn:problem-type:{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": _short(detail),
        "instance": quote(request.scope["path"][:_MAX_INSTANCE_CHARACTERS]),
    }
    if invalid_params:
        body["invalidParams"] = list(invalid_params)
    if run_id is not None:
        body["runId"] = run_id
    return Response(
        to_json(body),
        status_code=status,
        headers=_HEADERS.get(status),
        media_type="application/problem+json",
    )


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT_CHARACTERS else f"{text[:_MAX_TEXT_CHARACTERS]}…"


def status_and_type(error: errors.AgentrunError) -> tuple[int, str]:
    """Look up an error in the table, by its class or the nearest base class."""
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def of_agentrun_error(request: Request, error: Exception) -> Response:
    """Answer an error of the domain's tree."""
    assert isinstance(error, errors.AgentrunError)  # noqa: S101 - as registered below
    status, kind = status_and_type(error)
    if isinstance(error, errors.BrokenAgentError):
        log.error("request failed: %s", error.fault, extra={"path": request.url.path})
    elif status == 500:
        return of_unexpected_error(request, error)
    elif isinstance(error, _LOGGED):
        log.warning("request failed: %s", error, exc_info=error, extra={"path": request.url.path})
    params = error.params if isinstance(error, errors.InvalidRequestError) else ()
    response = problem(
        request,
        status,
        kind,
        str(error),
        invalid_params=[
            {"name": _short(name), "reason": _short(why)}
            for name, why in params[:_MAX_INVALID_PARAMS]
        ],
        run_id=error.run_id if isinstance(error, _OF_RUNS) else None,
    )
    if isinstance(error, errors.TooManyRunsError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def invalid_request(found: Iterable[Any]) -> errors.InvalidRequestError:
    """Turn pydantic's findings into one error that names each field at fault."""
    params = [(_field(finding["loc"]), _reason(finding)) for finding in found]
    return errors.InvalidRequestError(
        " ".join(f"{name or 'The body'} {why}." for name, why in params),
        params=[(name or "body", why) for name, why in params],
    )


def _field(location: Sequence[str | int]) -> str:
    parts = [str(part) for part in location]
    return ".".join(parts[1:] if parts[:1] in (["body"], ["query"], ["path"]) else parts)


def _reason(finding: Mapping[str, Any]) -> str:
    """Return what makes a sentence behind the field's name."""
    known = _REASONS.get(finding.get("type", ""))
    if known is not None:
        return known.format(**finding.get("ctx", {}))
    reason = _SHOULD.sub("must ", str(finding["msg"]).removeprefix("Value error, "), count=1)
    return reason if reason.startswith(_VERBS) else f"is not valid: {reason}"


def of_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refused: an unknown path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered below
    kind = _TYPE_OF_STATUS.get(error.status_code)
    if kind is None:
        return of_unexpected_error(request, error)
    details = {
        404: "There is nothing at this path.",
        405: f"{request.method[:20]} is not allowed here.",
    }
    detail = details.get(error.status_code, str(error.detail))
    response = problem(request, error.status_code, kind, detail)
    response.headers.update(error.headers or {})
    return response


def of_unexpected_error(request: Request, error: Exception) -> Response:
    """Answer any other error; only the log tells its cause."""
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return problem(request, 500, "internal-error", _INTERNAL)


HANDLERS: Mapping[Any, ExceptionHandler] = {
    errors.AgentrunError: of_agentrun_error,
    HTTPException: of_http_exception,
    Exception: of_unexpected_error,
}
"""Handlers that answer every error of a Starlette or FastAPI app with a problem."""
