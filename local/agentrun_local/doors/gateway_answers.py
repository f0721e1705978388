"""
What API Gateway answers by itself: its errors, worded by the template's gateway responses.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
import re
from collections.abc import Mapping

from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.doors.rest_definition import GatewayResponse

_VARIABLE = re.compile(r"\$context\.([A-Za-z.]+)|\$\{context\.([A-Za-z.]+)\}")
_DEFAULT = GatewayResponse(
    status=None, headers={}, template='{"message":$context.error.messageString}'
)


class GatewayError(Exception):
    """API Gateway answers instead of the function."""

    def __init__(self, response_type: str, status: int, message: str) -> None:
        super().__init__(message)
        self.response_type = response_type
        self.status = status
        self.message = message


def missing_route() -> GatewayError:
    """No resource, or not this method of it; API Gateway gives it this strange name."""
    return GatewayError("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")


def unauthorized() -> GatewayError:
    """No identity source, or the authorizer raised "Unauthorized"."""
    return GatewayError("UNAUTHORIZED", 401, "Unauthorized")


def access_denied(*, explicit: bool) -> GatewayError:
    """The authorizer's policy does not let the request through."""
    message = "User is not authorized to access this resource"
    return GatewayError(
        "ACCESS_DENIED", 403, f"{message} with an explicit deny" if explicit else message
    )


def authorizer_failed() -> GatewayError:
    """The authorizer raised anything but "Unauthorized"."""
    return GatewayError("AUTHORIZER_FAILURE", 500, "Internal server error")


def authorizer_misconfigured() -> GatewayError:
    """The authorizer answered with something that is no policy."""
    return GatewayError("AUTHORIZER_CONFIGURATION_ERROR", 500, "Internal server error")


def request_too_large() -> GatewayError:
    """The request is over API Gateway's or Lambda's limit."""
    return GatewayError("REQUEST_TOO_LARGE", 413, "Request Too Long")


def integration_timed_out() -> GatewayError:
    """The function has not answered within the integration's time."""
    return GatewayError("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out")


def function_failed() -> GatewayError:
    """The function failed, or answered with something that is no HTTP response."""
    return GatewayError("DEFAULT_5XX", 502, "Internal server error")


def word(
    error: GatewayError, responses: Mapping[str, GatewayResponse], request: HttpRequest
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of the answer, by the template or else as by default."""
    fallback = responses.get("DEFAULT_4XX" if error.status < 500 else "DEFAULT_5XX", _DEFAULT)
    response = responses.get(error.response_type, fallback)
    variables = {
        "error.message": error.message,
        "error.messageString": json.dumps(error.message),
        "error.responseType": error.response_type,
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "path": request.path,
        "requestId": request.request_id,
    }

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], "")

    template = response.template if response.template is not None else _DEFAULT.template or ""
    headers = {"content-type": "application/json", "x-amzn-errortype": error.response_type}
    headers |= {name.lower(): content for name, content in response.headers.items()}
    return (
        response.status or error.status,
        [*headers.items()],
        _VARIABLE.sub(value, template).encode(),
    )
