"""
moto's TransactWriteItems, without its copies of whole tables.

moto copies the whole table, once for each part of a transaction, to be able to undo it: 0.1 s per
thousand items, and what others write meanwhile is undone as well.
"""

import contextvars
import copy
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from agentrun_local.machine.moto_streams import undo_records

_transact_write_items = DynamoDBBackend.transact_write_items


class _Transaction:
    """The parts of one, and the copies that were made for it."""

    def __init__(self, parts: list[dict[str, Any]]) -> None:
        self._parts = parts
        self._copies: dict[str, Table] = {}

    def copy_of(self, table: Table) -> Table:
        """Return a copy in which only the items are copied that the transaction touches."""
        duplicate = self._copies.get(table.name)
        if duplicate is None:
            # moto makes all of its copies before it writes.
            duplicate = self._copies[table.name] = copy.copy(table)
            duplicate.items = copy.copy(table.items)
            for part in self._parts:
                self._copy_item(part, table, duplicate)
        return duplicate

    def _copy_item(self, part: dict[str, Any], table: Table, duplicate: Table) -> None:
        operation = next(iter(part.values()))
        key = operation.get("Key") or operation.get("Item") or {}
        names = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
        if operation.get("TableName") != table.name or not key.keys() >= set(names):
            return
        partition, *sort_key = (DynamoType(key[name]) for name in names)
        items = table.items.get(partition)
        if not sort_key or items is None:
            # Without a sort key, the partition is the item.
            duplicate.items.update({partition: copy.deepcopy(items)} if items else {})
            return
        if duplicate.items[partition] is items:
            duplicate.items[partition] = copy.copy(items)
        for found in items.keys() & set(sort_key):
            duplicate.items[partition][found] = copy.deepcopy(items[found])


_current: contextvars.ContextVar[_Transaction] = contextvars.ContextVar("transaction")


def copy_what_is_touched() -> None:
    """Let moto copy, from now on, no more than a transaction may change."""
    # Assigned by name, because moto looks them up on the classes.
    setattr(DynamoDBBackend, "transact_write_items", _noting)  # noqa: B010
    setattr(Table, "__deepcopy__", _copy_for_rollback)  # noqa: B010


def _noting(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    token = _current.set(_Transaction(transact_items))
    try:
        with undo_records(backend):
            _transact_write_items(backend, transact_items)
    finally:
        _current.reset(token)


def _copy_for_rollback(table: Table, _memo: dict[int, Any]) -> Table:
    return _current.get().copy_of(table)
