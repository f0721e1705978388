"""Stores whose calls or requests are the steps of a schedule."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from agentrun.domain.errors import StoreUnavailableError
from tests.schedules import brief
from tests.schedules.stage import Fault, ProcessDied, Stage, Step
from tests.schedules.touches import by_call, by_request

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Listener(Protocol):
    """Is notified of each call of a port by an actor."""

    def asked(
        self, actor: str, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Note a call before it is made."""
        ...

    def made(self, actor: str, method: str, args: tuple[Any, ...]) -> None:
        """Note a call that succeeded, even if its caller never learns so."""
        ...


class SteppedPort:
    """A port whose calls are steps, or are only reported if `are_steps` is not set."""

    def __init__(
        self, port: object, current: Callable[[], Stage | None], listener: Listener
    ) -> None:
        self._port = port
        self._current = current
        self._listener = listener
        self.are_steps = True

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            stage = self._current()
            if stage is None or stage.actor is None:
                return method(*args, **kwargs)
            self._listener.asked(stage.actor, name, args, kwargs)
            if not self.are_steps:
                return self._hear(stage.actor, name, method, args, kwargs)
            step = stage.step(brief.port_call(name, args, kwargs), by_call(name))
            if step.fault is Fault.REFUSED:
                step.result = "StoreUnavailableError"
                raise StoreUnavailableError("The store cannot be reached.")
            return self._met(step, lambda: self._hear(step.actor, name, method, args, kwargs))

        return call

    def _hear(
        self, actor: str, name: str, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        answer = method(*args, **kwargs)
        self._listener.made(actor, name, args)
        return answer

    def _met(self, step: Step, call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except Exception as error:
            step.result = type(error).__name__
            raise
        step.result = brief.port_result(answer)
        if step.fault is Fault.DIES:
            raise ProcessDied
        if step.fault is Fault.LOST:
            raise StoreUnavailableError("The store did not answer.")
        return answer


class SteppedRequests:
    """Makes each request of a client a step."""

    def __init__(self, client: "DynamoDBClient", current: Callable[[], Stage | None]) -> None:
        self._current = current
        self._step: Step | None = None
        events: Any = client.meta.events
        events.register_first("before-send.dynamodb", self._before)
        events.register("after-call.dynamodb", self._after)

    def _before(self, request: AWSPreparedRequest, **_: object) -> None:
        stage = self._current()
        self._step = None
        if stage is None or stage.actor is None:
            return
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        assert isinstance(request.body, bytes)
        params = json.loads(request.body)
        step = stage.step(brief.request(operation, params), by_request(operation, params))
        self._step = step
        if step.fault is Fault.REFUSED:
            step.result = "EndpointConnectionError"
            raise EndpointConnectionError(endpoint_url=str(request.url))

    def _after(self, http_response: Any, parsed: dict[str, Any], **_: object) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        step.result = brief.reply(http_response.status_code, parsed)
        if step.fault is Fault.DIES:
            raise ProcessDied
        if step.fault is Fault.LOST:
            raise ReadTimeoutError(endpoint_url="dynamodb")
