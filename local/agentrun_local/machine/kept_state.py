"""
What moto's DynamoDB, SQS and S3 hold, in a file that outlives their process.

Each write is in the file before it is answered, so what a client was told survives a kill of the
process. A table, queue or bucket gets its contents back when it is created again.
"""

import base64
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from moto.core.base_backend import BackendDict
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.sqs.models import Message, Queue, sqs_backends

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (place TEXT, key TEXT, item TEXT, PRIMARY KEY (place, key));
CREATE TABLE IF NOT EXISTS messages (place TEXT, number INTEGER, message TEXT);
CREATE TABLE IF NOT EXISTS objects (place TEXT, key TEXT, body BLOB, PRIMARY KEY (place, key));
"""
_ACCOUNT = "123456789012"
_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/([^/]+)/")
"""Region and service in the header of Signature Version 4."""
_OF_A_MESSAGE = (
    *("id", "body", "message_attributes", "system_attributes", "sent_timestamp"),
    *("approximate_first_receive_timestamp", "approximate_receive_count", "delayed_until"),
    *("deduplication_id", "group_id", "sequence_number"),
)
"""What is kept of one; a receipt ends with the process, so the message is visible again."""


@dataclass(frozen=True)
class Request:
    """An answered request: who it was for, and what it asked."""

    service: str
    region: str
    operation: str
    body: bytes

    @classmethod
    def read(cls, environ: Mapping[str, Any], body: bytes) -> "Request":
        """Read a request of boto3 as WSGI has it."""
        found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        region, service = found.groups() if found else ("", "")
        target = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        return cls(service, region, target or environ["REQUEST_METHOD"], body)


class Kept(Protocol):
    """Keeps the contents of one service."""

    def after(self, request: Request) -> None:
        """Write what a request has changed, or restore what it has created."""


class KeptState:
    """
    The file, and what is kept in it.

    Not for several threads at once: call it while no other request is served.

    Args:
        path: An SQLite database; made if missing.

    Raises:
        sqlite3.DatabaseError: It is in use, or no such database.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=0, check_same_thread=False, isolation_level=None)
        # Two processes would each write what the other does not know.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Survives a kill of this process; only a loss of power may cost the last writes.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._services: dict[str, Kept] = {
            "dynamodb": _Tables(self._db),
            "sqs": _Queues(self._db),
            "s3": _Buckets(self._db),
        }

    def after(self, request: Request) -> None:
        """Keep what an answered request has changed, or restore what it has created."""
        service = self._services.get(request.service)
        if service is not None:
            with _transaction(self._db):
                service.after(request)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


class _Tables:
    """Items of tables."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def after(self, request: Request) -> None:
        asked = json.loads(request.body or b"{}")
        tables = _backend(dynamodb_backends, request.region).tables
        if request.operation == "CreateTable":
            self._restore(tables[asked["TableName"]], request.region)
        for name, keyed in _written(request.operation, asked):
            self._keep(tables[name], request.region, keyed)

    def _keep(self, table: Table, region: str, keyed: Mapping[str, Any]) -> None:
        hash_key, range_key = _key(table, keyed)
        place, key = (
            f"{region}/{table.name}",
            _text([one and one.to_json() for one in (hash_key, range_key)]),
        )
        item = table.get_item(hash_key, range_key)
        if item is None:
            self._db.execute("DELETE FROM items WHERE place = ? AND key = ?", (place, key))
            return
        text = _text(item.to_json()["Attributes"])
        self._db.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", (place, key, text))

    def _restore(self, table: Table, region: str) -> None:
        """Fill a table without telling its stream, whose readers have seen the items."""
        rows = self._db.execute(
            "SELECT item FROM items WHERE place = ?", (f"{region}/{table.name}",)
        )
        for (text,) in rows:
            attributes = json.loads(text, object_hook=_decoded)
            hash_key, range_key = _key(table, attributes)
            item = Item(hash_key, range_key, attributes)
            if range_key is None:
                table.items[hash_key] = item  # type: ignore[assignment] # as moto does
            else:
                table.items[hash_key][range_key] = item


def _written(operation: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the table, and a key or an item, of each part of a request that writes."""
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        yield asked["TableName"], asked.get("Item") or asked["Key"]
    elif operation == "BatchWriteItem":
        for name, parts in asked["RequestItems"].items():
            for part in parts:
                (one,) = part.values()
                yield name, one.get("Item") or one["Key"]
    elif operation == "TransactWriteItems":
        for part in asked["TransactItems"]:
            ((kind, one),) = part.items()
            if kind != "ConditionCheck":
                yield one["TableName"], one.get("Item") or one["Key"]


def _key(table: Table, keyed: Mapping[str, Any]) -> tuple[DynamoType, DynamoType | None]:
    range_key = DynamoType(keyed[table.range_key_attr]) if table.range_key_attr else None
    return DynamoType(keyed[table.hash_key_attr]), range_key


class _Queues:
    """Messages of queues: all of a queue at once, for there are few."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._kept: dict[str, list[str]] = {}

    def after(self, request: Request) -> None:
        queues: Mapping[str, Queue] = _backend(sqs_backends, request.region).queues
        if request.operation == "CreateQueue":
            name = json.loads(request.body)["QueueName"]
            self._restore(queues[name], f"{request.region}/{name}")
        for name, queue in queues.items():
            self._keep(queue, f"{request.region}/{name}")

    def _keep(self, queue: Queue, place: str) -> None:
        texts = [
            _text({name: getattr(message, name) for name in _OF_A_MESSAGE})
            for message in queue._messages  # noqa: SLF001 - it has no other list of all
        ]
        if self._kept.get(place, []) == texts:
            return
        self._kept[place] = texts
        self._db.execute("DELETE FROM messages WHERE place = ?", (place,))
        rows = [(place, number, text) for number, text in enumerate(texts)]
        self._db.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)

    def _restore(self, queue: Queue, place: str) -> None:
        if place in self._kept:
            return
        query = "SELECT message FROM messages WHERE place = ? ORDER BY number"
        self._kept[place] = [text for (text,) in self._db.execute(query, (place,))]
        for text in self._kept[place]:
            kept = json.loads(text)
            message = Message(kept.pop("id"), kept.pop("body"))
            for name, value in kept.items():
                setattr(message, name, value)
            queue._messages.append(message)  # noqa: SLF001


class _Buckets:
    """Objects of buckets."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._kept: dict[str, dict[str, FakeKey]] = {}

    def after(self, request: Request) -> None:
        if request.operation not in {"PUT", "POST", "DELETE"}:
            return
        backend = _backend(s3_backends, "aws")
        for name, bucket in backend.buckets.items():
            if name not in self._kept:
                self._restore(backend, name)
            self._keep(bucket)

    def _keep(self, bucket: FakeBucket) -> None:
        there, kept = dict(bucket.keys.items()), self._kept[bucket.name]
        for name in kept.keys() - there.keys():
            self._db.execute("DELETE FROM objects WHERE place = ? AND key = ?", (bucket.name, name))
        for name, key in there.items():
            # What is written again is another object of moto's.
            if kept.get(name) is not key:
                row = (bucket.name, name, key.value)
                self._db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", row)
        self._kept[bucket.name] = there

    def _restore(self, backend: Any, bucket: str) -> None:
        query = "SELECT key, body FROM objects WHERE place = ?"
        for name, body in self._db.execute(query, (bucket,)).fetchall():
            backend.put_object(bucket, name, body)
        self._kept[bucket] = dict(backend.buckets[bucket].keys.items())


def _backend(backends: BackendDict[Any], region: str) -> Any:
    return backends[_ACCOUNT][region]


def _text(value: Any) -> str:
    return json.dumps(value, default=_encoded, sort_keys=True)


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, DynamoType | Item):
        return value.to_json()
    raise TypeError(type(value).__name__)


def _decoded(value: dict[str, Any]) -> dict[str, Any]:
    """Return an attribute value with bytes, as moto holds them; of text it makes Base64 again."""
    match value:
        case {"B": str(text)}:
            return {"B": base64.b64decode(text)}
        case {"BS": [*texts]}:
            return {"BS": [base64.b64decode(text) for text in texts]}
        case _:
            return value
