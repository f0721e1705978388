"""Answers that have been read to their end, and the errors that they stand for."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar, cast

from agentrun_client.errors import (
    AgentrunError,
    ApiError,
    AuthenticationError,
    ConflictError,
    InternalServerError,
    InvalidParam,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    Problem,
    RunFailedError,
    TooManyRunsError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from agentrun_client.wire.call import Call
from agentrun_client.wire.reading import UnreadableError

T = TypeVar("T")
RUN_FAILED = "urn:problem-type:run-failed"
EXCERPT_CHARACTERS = 200
_CLASSES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    429: TooManyRunsError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Answer(NamedTuple):
    """An answer's status, headers (their names in any case) and whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_error(self) -> bool:
        """Whether it is anything but a success; redirections are not followed."""
        return not 200 <= self.status < 300


def error_of(answer: Answer) -> AgentrunError:
    """Return what an answer that is an error stands for."""
    problem = _problem_of(answer)
    if problem.status == HTTPStatus.BAD_GATEWAY and problem.type == RUN_FAILED:
        return RunFailedError(problem.run_id, problem.detail)
    default = InternalServerError if problem.status >= 500 else ApiError
    return _CLASSES.get(problem.status, default)(problem)


def read_answer(call: Call[T], answer: Answer) -> T:
    """
    Read an answer that is no error.

    Raises:
        ApiError: It is not what the API answers.
    """
    try:
        return call.read(answer.body)
    except UnreadableError as error:
        raise unreadable(answer, str(error)) from None


def unreadable(answer: Answer, why: str) -> ApiError:
    """Return the error of an answer that says it is a success and cannot be read."""
    title = "The answer cannot be read"
    return ApiError(Problem(answer.status, "about:blank", title, f"{why}: {_excerpt(answer.body)}"))


def _problem_of(answer: Answer) -> Problem:
    told = _object_of(answer.body)
    retry_after = retry_after_s(answer)
    if not isinstance(told.get("type"), str) or not isinstance(told.get("detail"), str):
        return Problem(
            answer.status,
            "about:blank",
            _phrase(answer.status),
            _told_otherwise(told, answer),
            retry_after=retry_after,
        )
    run_id = told.get("runId")
    return Problem(
        # What was sent counts: a body may have been made by somebody else.
        answer.status,
        told["type"],
        str(told.get("title", _phrase(answer.status))),
        told["detail"],
        _invalid_params(told.get("invalidParams")),
        retry_after,
        run_id if isinstance(run_id, str) else None,
    )


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}


def _told_otherwise(told: dict[str, Any], answer: Answer) -> str:
    # Lambda and API Gateway say `Message` or `message`.
    for name in ("detail", "message", "Message"):
        if isinstance(told.get(name), str):
            return cast("str", told[name])
    if 300 <= answer.status < 400:
        return "the API redirects elsewhere; redirections are not followed, so check the base URL"
    return f"the answer is no problem+json: {_excerpt(answer.body)}"


def _excerpt(body: bytes) -> str:
    if not body:
        return "its body is empty"
    text = _CONTROL.sub(" ", body[: EXCERPT_CHARACTERS * 4].decode(errors="replace"))
    return repr(text[:EXCERPT_CHARACTERS])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def _invalid_params(told: object) -> tuple[InvalidParam, ...]:
    found = cast("list[object]", told) if isinstance(told, list) else []
    params = [cast("dict[str, object]", each) for each in found if isinstance(each, dict)]
    return tuple(
        InvalidParam(str(each.get("name", "")), str(each.get("reason", ""))) for each in params
    )


def retry_after_s(answer: Answer) -> float | None:
    """Return `Retry-After` in seconds, whether it says seconds or a date (RFC 9110, 10.2.3)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
