"""
What `agentrun doctor` asks of AWS that moto does not have, answered on loopback.

Every answer is held against botocore's description of the service before it is given.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.model import OperationModel, ServiceModel
from botocore.session import get_session

from tests.bedrock.rules import misshapen
from tests.http_server import answering, send, served

_SERVICES = ("bedrock", "lambda")


class ControlPlane:
    """Answers operations as scripted, by `service.Operation`; anything else does not exist."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {f"AWS_ENDPOINT_URL_{name.upper()}": self.url for name in _SERVICES}
        self.asked: list[str] = []
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._errors: dict[str, str] = {}

    def answer(self, operation: str, subject: str = "", **answer: Any) -> None:
        """Answer an operation, about one subject where its path names one."""
        model = _operation(operation)
        assert model.output_shape is not None
        faults = list(misshapen(model.output_shape, answer, operation))
        assert not faults, faults
        self._answers[operation, subject] = answer

    def fail(self, operation: str, code: str) -> None:
        """Answer an operation with an error of AWS's."""
        self._errors[operation] = code

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        operation, subject = _asked_for(urlsplit(handler.path).path)
        self.asked.append(f"{handler.command} {operation} {subject}".strip())
        code = self._errors.get(operation)
        found = self._answers.get((operation, subject))
        if code is None and found is not None:
            return send(handler, 200, json.dumps(found).encode())
        code = code or "ResourceNotFoundException"
        return send(handler, 400, b'{"message": "no"}', **{"x-amzn-ErrorType": code})


@cache
def _service(name: str) -> ServiceModel:
    return get_session().get_service_model(name)


def _operation(name: str) -> OperationModel:
    service, _, operation = name.partition(".")
    return _service(service).operation_model(operation)


@cache
def _paths() -> Mapping[str, str]:
    """Return the operations whose path begins so, without its last, variable part."""
    found = {}
    for service in _SERVICES:
        for operation in _service(service).operation_names:
            http = _operation(f"{service}.{operation}").http
            if http["method"] == "GET":
                found[str(http["requestUri"]).partition("?")[0]] = f"{service}.{operation}"
    return found


def _asked_for(path: str) -> tuple[str, str]:
    if path in _paths():
        return _paths()[path], ""
    for pattern, operation in _paths().items():
        before, _, rest = pattern.partition("{")
        after = rest.partition("}")[2]
        if rest and "{" not in after and path.startswith(before) and path.endswith(after):
            subject = path[len(before) : len(path) - len(after)]
            if "/" not in subject:
                return operation, unquote(subject)
    return f"unknown {path}", ""


@contextmanager
def running_control_plane() -> Iterator[ControlPlane]:
    """Serve a control plane that knows nothing yet."""
    with served(answering(lambda asked: plane.serve(asked))) as url:  # noqa: PLW0108 - made below
        plane = ControlPlane(url)
        yield plane
