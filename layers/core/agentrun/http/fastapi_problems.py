"""
Problems for what FastAPI itself refuses.

Apart from `problems.py`, so that the stream function, which has no FastAPI, does not import it.
"""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from agentrun.http.problems import HANDLERS, invalid_request, of_agentrun_error


def of_invalid_parameters(request: Request, error: Exception) -> Response:
    """Answer what FastAPI refused about a path or a query."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered below
    return of_agentrun_error(request, invalid_request(error.errors()))


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error that an app answers a problem."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(RequestValidationError, of_invalid_parameters)
