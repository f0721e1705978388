"""
moto's DynamoDB, SQS and S3 as a process, with fixes for concurrent writers and for streams.

moto serves each request in its own thread without a lock, so a rollback also undoes what others
wrote meanwhile. `moto_transactions` has what concerns TransactWriteItems, `moto_streams` what
concerns streams of tables, and `kept_state` what outlives the process.
"""

import io
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.models import Message, SQSBackend
from werkzeug.serving import make_server

from agentrun_local.machine.kept_state import KeptState, Request
from agentrun_local.machine.moto_streams import bound_streams
from agentrun_local.machine.moto_transactions import copy_what_is_touched

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LOOK_AGAIN_AFTER_S = 0.05

_lock = threading.Lock()
"""Whoever has it is the one request that is served."""
_receive_message = SQSBackend.receive_message


def main(state: Path | None) -> None:
    """Serve on a free port of 127.0.0.1, print its URL, and keep everything in `state`."""
    # Assigned by name, because moto looks it up on the class.
    setattr(SQSBackend, "receive_message", _receive_aside)  # noqa: B010
    bound_streams()
    copy_what_is_touched()
    kept = None if state is None else _kept_in(state)
    app = _one_at_a_time(DomainDispatcherApplication(create_backend_app), kept)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    print(f"Running on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def _kept_in(state: Path) -> KeptState:
    try:
        return KeptState(state)
    except sqlite3.OperationalError as error:
        raise SystemExit(
            f"{state} is in use by another stack, or cannot be written: {error}"
        ) from error
    except sqlite3.DatabaseError as error:
        raise SystemExit(f"{state} holds no state; delete it to begin anew: {error}") from error


class _QuietHandler(MotoRequestHandler):
    """Without a line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _one_at_a_time(app: _Application, kept: KeptState | None) -> _Application:
    def locked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with _lock:
            if kept is None:
                return list(app(environ, start_response))
            return _kept_answer(app, environ, start_response, kept)

    return locked


def _kept_answer(
    app: _Application, environ: dict[str, Any], start_response: Callable[..., Any], kept: KeptState
) -> list[bytes]:
    """Answer a request once the file has what it changed; a refused one has changed nothing."""
    body = b""
    if "HTTP_X_AMZ_TARGET" in environ:
        # S3 has none: its bodies come in many encodings, and nobody here reads them.
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(body)
    statuses: list[str] = []

    def noting(status: str, *args: Any) -> Any:
        statuses.append(status)
        return start_response(status, *args)

    answer = list(app(environ, noting))
    if statuses[-1].startswith("2"):
        kept.after(Request.read(environ, body))
    return answer


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
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
