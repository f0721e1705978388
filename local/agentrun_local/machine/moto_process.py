"""
moto's DynamoDB, SQS and S3 as a process, with fixes for concurrent writers and for streams.

moto serves each request in its own thread without a lock, so a rollback also undoes what others
wrote meanwhile; and it copies the whole table for each part of a TransactWriteItems, which takes
0.1 s per thousand items. `moto_streams` has what concerns streams of tables, `kept_state` what
outlives the process.
"""

import contextvars
import copy
import io
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.models import Message, SQSBackend
from werkzeug.serving import make_server

from agentrun_local.machine.kept_state import KeptState, Request
from agentrun_local.machine.moto_streams import bound_streams, undo_records

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LOOK_AGAIN_AFTER_S = 0.05

_lock = threading.Lock()
"""Whoever has it is the one request that is served."""
_parts: contextvars.ContextVar[list[dict[str, Any]]] = contextvars.ContextVar("parts")
_transact_write_items = DynamoDBBackend.transact_write_items
_receive_message = SQSBackend.receive_message


def main(state: Path | None) -> None:
    """Serve on a free port of 127.0.0.1, print its URL, and keep everything in `state`."""
    # Assigned by name, because moto looks them up on the classes.
    setattr(DynamoDBBackend, "transact_write_items", _noting_parts)  # noqa: B010
    setattr(Table, "__deepcopy__", _copy_for_rollback)  # noqa: B010
    setattr(SQSBackend, "receive_message", _receive_aside)  # noqa: B010
    bound_streams()
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


def _noting_parts(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    token = _parts.set(transact_items)
    try:
        with undo_records(backend):
            _transact_write_items(backend, transact_items)
    finally:
        _parts.reset(token)


def _copy_for_rollback(table: Table, memo: dict[int, Any]) -> Table:
    """Copy only the partitions that the transaction touches; the others do not change."""
    duplicate = copy.copy(table)
    duplicate.items = copy.copy(table.items)
    for part in _parts.get():
        operation = next(iter(part.values()))
        key = operation.get("Key") or operation.get("Item") or {}
        if operation.get("TableName") != table.name or table.hash_key_attr not in key:
            continue
        partition = DynamoType(key[table.hash_key_attr])
        if partition in table.items:
            duplicate.items[partition] = copy.deepcopy(table.items[partition], memo)
    return duplicate


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
