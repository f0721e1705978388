"""
What FastAPI reads: the query parameters of the routes that read, and the problems it answers.

The stream function has no FastAPI and imports nothing of this.
"""

from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from agentrun.http.problems import HANDLERS, invalid_request, of_agentrun_error

MAX_PAGE = 1_000_000
"""Beyond the end of any list; times the largest size, within DynamoDB's 32 bits for a limit."""
DEFAULT_SIZE = 20

IncludeInactive = Annotated[
    bool,
    Query(alias="includeInactive", description="Also list the agents that cannot be run."),
]
RunIds = Annotated[
    list[str],
    Query(
        alias="runIds",
        description="Comma separated, repeated, or both; at most 100 distinct ids after dropping "
        "empty ones and duplicates.",
    ),
]
Fields = Annotated[
    Literal["full", "summary"],
    Query(alias="fields", description="`summary` leaves out `input` and `output`."),
]
Size = Annotated[int, Query(alias="size", ge=1, le=100, description="How many at most.")]
Page = Annotated[
    int | None,
    Query(
        alias="page",
        ge=0,
        le=MAX_PAGE,
        description="Which page of this size, from 0; cannot be combined with `cursor`.",
    ),
]
Cursor = Annotated[
    str | None, Query(alias="cursor", description="The `nextCursor` of the page before.")
]
OfAgent = Annotated[
    str | None,
    Query(alias="agentId", max_length=64, description="Only sessions with this agent."),
]
OfUser = Annotated[
    str | None,
    Query(
        alias="userId",
        max_length=256,
        description="Whose sessions; the role `admin` may name others.",
    ),
]


RunsOfStatus = Annotated[
    Literal["QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED", ""] | None,
    Query(alias="status", description="Only runs in this status."),
]
RunsOfAgent = Annotated[
    str | None, Query(alias="agentId", max_length=64, description="Only runs of this agent.")
]
RunsOfSession = Annotated[
    str | None, Query(alias="sessionId", max_length=64, description="Only runs of this session.")
]
RunsOfUser = Annotated[
    str | None,
    Query(
        alias="userId",
        max_length=256,
        description="Whose runs; the role `admin` may name others.",
    ),
]


def of_invalid_parameters(request: Request, error: Exception) -> Response:
    """Answer a path or a query that FastAPI refused."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered below
    return of_agentrun_error(request, invalid_request(error.errors()))


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of an app with a problem."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(RequestValidationError, of_invalid_parameters)
