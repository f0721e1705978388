"""What becomes of a run's result, and what tells a stream from another answer."""

from http import HTTPStatus

import httpx

from agentrun_client.errors import (
    RunCancelledError,
    RunFailedError,
    RunPausedError,
)
from agentrun_client.models.actions import RequiredAction
from agentrun_client.models.runs import RunResult


def answer_of(result: RunResult) -> str:
    """
    Return the answer of a run that is COMPLETED.

    Raises:
        RunFailedError, RunCancelledError, RunPausedError: It is something else.
    """
    if result.status == "FAILED":
        raise RunFailedError(result.run_id, result.error or "")
    if result.status == "CANCELLED":
        raise RunCancelledError(result.run_id, result.error or "")
    if result.status == "PAUSED":
        action = result.required_action or RequiredAction("TOOL_APPROVAL", "")
        raise RunPausedError(result.run_id, action)
    return result.text


def is_stream(response: httpx.Response) -> bool:
    """Tell a stream of events from any other answer."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status_code == HTTPStatus.OK and kind == "text/event-stream"
