"""What a stream sends before it has had its first event."""

from typing import Protocol

from agentrun_client.events import RunEvent
from agentrun_client.wire.answer import Answer
from agentrun_client.wire.call import Call


class Opening(Protocol):
    """Decides what to send until the first event has come."""

    @property
    def run_id(self) -> str | None:
        """The run, if it is known before anything is sent."""
        ...

    def call(self) -> Call[object]:
        """Return what to send next."""
        ...

    def takes(self, answer: Answer) -> bool:
        """Take an answer that is no stream, and say whether that was its; errors mostly are not."""
        ...

    def lost(self) -> None:
        """Take that the last request may have been received, and no event has come."""
        ...

    def skips(self, event: RunEvent) -> bool:
        """Tell whether an event belongs to what the caller has had before."""
        ...


class PlainOpening:
    """Sends the same request again until there is an event: its key, or its method, allows that."""

    def __init__(self, request: Call[object], run_id: str | None = None) -> None:
        """Take the request, and the run if it is known before the answer."""
        self.run_id = run_id
        self._request = request

    def call(self) -> Call[object]:
        """Return the request."""
        return self._request

    def takes(self, answer: Answer) -> bool:  # noqa: ARG002 - the protocol's
        """Leave every answer to the rules for all."""
        return False

    def lost(self) -> None:
        """Change nothing."""

    def skips(self, event: RunEvent) -> bool:  # noqa: ARG002 - the protocol's
        """Skip nothing."""
        return False
