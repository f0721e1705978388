"""
moto's DynamoDB, SQS and S3 as a process, with fixes for concurrent writers and for streams.

moto serves each request in its own thread without a lock, so a rollback also undoes what others
wrote meanwhile. `moto_transactions` has what concerns TransactWriteItems, and `moto_streams` what
concerns streams of tables.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.models import Message, SQSBackend
from werkzeug.serving import make_server

from agentrun_local.machine.moto_streams import bound_streams
from agentrun_local.machine.moto_transactions import copy_what_is_touched

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LOOK_AGAIN_AFTER_S = 0.05

_lock = threading.Lock()
"""Whoever has it is the one request that is served."""
_receive_message = SQSBackend.receive_message


def main() -> None:
    """Serve on a free port of 127.0.0.1 and print its URL."""
    # Assigned by name, because moto looks it up on the class.
    setattr(SQSBackend, "receive_message", _receive_aside)  # noqa: B010
    bound_streams()
    copy_what_is_touched()
    app = _one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    print(f"Running on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


class _QuietHandler(MotoRequestHandler):
    """Without a line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _one_at_a_time(app: _Application) -> _Application:
    def locked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with _lock:
            return list(app(environ, start_response))

    return locked


def _receive_aside(
    backend: SQSBackend,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,
    visibility_timeout: int,
    message_attribute_names: list[str] | None = None,
) -> list[Message]:
    """Wait for messages without holding up everybody else."""
    until = time.monotonic() + wait_seconds_timeout
    while True:
        messages = _receive_message(
            backend, queue_name, count, 0, visibility_timeout, message_attribute_names
        )
        if messages or time.monotonic() >= until:
            return messages
        _lock.release()
        try:
            time.sleep(_LOOK_AGAIN_AFTER_S)
        finally:
            _lock.acquire()


if __name__ == "__main__":
    main()
