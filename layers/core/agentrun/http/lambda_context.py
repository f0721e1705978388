"""What Lambda tells about the invocation that a request came with."""

from datetime import datetime, timedelta

from starlette.requests import Request

from agentrun.domain.ports import Clock


def deadline_of(request: Request, clock: Clock) -> datetime | None:
    """Give the instant at which Lambda will stop the invocation; None outside Lambda."""
    context = request.scope.get("aws.context")
    if context is None:
        return None
    return clock.now() + timedelta(milliseconds=context.get_remaining_time_in_millis())


def came_by_function_url(request: Request) -> bool:
    """Tell whether a request came by the Function URL, whose payloads have the version 2.0."""
    return bool(request.scope.get("aws.event", {}).get("version") == "2.0")
