"""
moto's DynamoDB as a process, with two fixes for concurrent writers.

moto serves each request in its own thread without a lock, so a rollback also undoes what others
wrote meanwhile; and it copies the whole table for each part of a TransactWriteItems, which takes
0.1 s per thousand items.
"""

import contextvars
import copy
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_parts: contextvars.ContextVar[list[dict[str, Any]]] = contextvars.ContextVar("parts")
_transact_write_items = DynamoDBBackend.transact_write_items


def main() -> None:
    """Serve on a free port of 127.0.0.1 and print its URL."""
    # Assigned by name, because moto looks them up on the classes.
    setattr(DynamoDBBackend, "transact_write_items", _noting_parts)  # noqa: B010
    setattr(Table, "__deepcopy__", _copy_for_rollback)  # noqa: B010
    app = _one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    print(f"Running on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


class _QuietHandler(MotoRequestHandler):
    """Without a line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _one_at_a_time(app: _Application) -> _Application:
    lock = threading.Lock()

    def locked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(app(environ, start_response))

    return locked


def _noting_parts(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    token = _parts.set(transact_items)
    try:
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
    main()
