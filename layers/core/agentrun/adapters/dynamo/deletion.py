"""Deletes sessions with their runs, so that nothing that is written late for them stays."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.headers import is_erased
from agentrun.adapters.dynamo.items import (
    CHUNKED_TEXTS,
    Attribute,
    Item,
    chunk_sk,
    chunk_sks,
    header_key,
    is_chunk,
    key_at,
    key_of,
    place_of,
    pointed_run_id,
    run_pk,
    session_key,
    string,
)
from agentrun.adapters.dynamo.session_list import pointers_of
from agentrun.adapters.dynamo.table import (
    MAX_WRITES,
    ConditionFailedError,
    Query,
    Table,
    TransactionRefusedError,
    Write,
)
from agentrun.adapters.dynamo.texts import ERASED_FOR, erased_place
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.errors import SessionNotFoundError, StoreUnavailableError
from agentrun.domain.runs import RunKey, RunStatus
from agentrun.domain.value import from_epoch_ms

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

_KEY = f"{Attribute.PK}, {Attribute.SK}"
_DELETING = Attribute.DELETING
_CONTENTS = (Attribute.TEXT, Attribute.EVENTS, Attribute.STEP)
"""What tells items that go away by themselves from the marks that do."""
_HEADER = 0
"""Where the header stands in the transaction; the places are behind it."""


class DynamoRunErasure:
    """
    Erases runs in an order that can be interrupted anywhere and begun again.

    An executor puts its chunks before the header's condition fences it, each text's one after the
    other, and it may be late. So a run's header is replaced by a mark in one transaction that also
    marks the first free place of each text of its executor: from then on nobody can commit an end
    or start the run anew, and the executor is refused at that place if not before; and so are those
    that were lost with the run, and that may live yet. Then whatever
    else the run has is deleted, and each chunk replaced by a mark, so that none of them can come
    again. A run that ended longer ago than marks last is only deleted.

    Objects are deleted last. One that is put later still is named by nothing, and goes away with
    its time, as the bucket's rule says.
    """

    def __init__(
        self, table: Table, objects: "LargeObjects | None", *, now: Callable[[], datetime]
    ) -> None:
        self._table = table
        self._objects = objects
        self._now = now

    def erase(self, runs: Sequence[RunKey], *, check_time: Callable[[], None]) -> None:
        """
        Erase runs; those that are gone, wholly or in part, are no error.

        Args:
            runs: About as many as one batch may write.
            check_time: Is called between steps; raises what ends the erasure too early.

        Raises:
            StoreUnavailableError: Something may be left; retrying is safe.
        """
        read = self._table.items([*map(header_key, runs)], consistent=True)
        headers = [header for header in read if not is_erased(header)]
        past = {place_of(header)[0]: header for header in headers if self._is_past(header)}
        for header in headers:
            if place_of(header)[0] not in past:
                self._remove_header(header, check_time)
        self._table.delete_all([key_of(header) for header in past.values()])
        marked: list[Item] = []
        deleted: list[Item] = []
        for key in (key for run in runs for page in self._left(run) for key in page):
            (marked if is_chunk(key) and place_of(key)[0] not in past else deleted).append(key)
        at = self._now()
        self._table.put_all([erased_place(key, at) for key in marked])
        self._table.delete_all(deleted)
        if self._objects is not None:
            # Whatever a run had in the bucket, nothing names it any more.
            for run in runs:
                check_time()
                self._objects.delete(run)

    def _is_past(self, header: Item) -> bool:
        """Tell whether a run ended so long ago that nobody writes for it any more."""
        changed_at = from_epoch_ms(int(header[Attribute.UPDATED_AT]["N"]))
        has_ended = RunStatus(header[Attribute.STATUS]["S"]).is_terminal
        return has_ended and self._now() - changed_at > ERASED_FOR

    def _remove_header(self, header: Item, check_time: Callable[[], None]) -> None:
        """Remove a header and stop its executor, all or nothing."""
        found: Item | None = header
        while found is not None:
            try:
                self._remove_with_places(found, check_time)
            except TransactionRefusedError:
                # Another executor has the run, or somebody else has removed it.
                check_time()
                read = self._table.items([key_of(header)], consistent=True)
                found = next((item for item in read if not is_erased(item)), None)
            else:
                return

    def _remove_with_places(self, header: Item, check_time: Callable[[], None]) -> None:
        """
        Remove a header if its executor is still the same, and mark where that would go on.

        Raises:
            TransactionRefusedError: The header is not as it was.
        """
        places = {
            (executor, text): _first_place(header, executor, text)
            for executor in _executors(header)
            for text in CHUNKED_TEXTS
        }
        while True:
            check_time()
            try:
                self._table.write_all(self._removal(header, places))
            except TransactionRefusedError as refused:
                if refused.is_of(_HEADER):
                    raise
                for number, written in enumerate(places, _HEADER + 1):
                    places[written] += refused.is_of(number)
            else:
                return

    def _removal(self, header: Item, places: dict[tuple[str, str], int]) -> list[Write]:
        executor, at = header[Attribute.EXECUTOR], self._now()
        is_same, values = f"{Attribute.EXECUTOR} = :executor", {":executor": executor}
        run = place_of(header)[0]
        free = [key_at(run, chunk_sk(text, by, place)) for (by, text), place in places.items()]
        is_free = f"attribute_not_exists({Attribute.PK})"
        return [
            Write("Put", erased_place(header, at), condition=is_same, values=values),
            *(Write("Put", erased_place(key, at), condition=is_free) for key in free),
        ]

    def _left(self, run: RunKey) -> Iterator[list[Item]]:
        """Yield the keys of whatever a run has but marks."""
        query = Query(
            f"{Attribute.PK} = :pk",
            {":pk": string(run_pk(run))},
            filtered=" OR ".join(
                (
                    f"attribute_not_exists(#{Attribute.TTL})",
                    *(f"attribute_exists(#{name})" for name in _CONTENTS),
                )
            ),
            only=_KEY,
        )
        return self._table.pages(query)


MOST_LOST = 30
"""A transaction has room for the places of a few more executors (100 items, API reference)."""


def _executors(header: Item) -> list[str]:
    """Return who may write for a run: the one that has it, and those that were lost."""
    lost = header[Attribute.LOST_BY]["L"] if Attribute.LOST_BY in header else []
    return [header[Attribute.EXECUTOR]["S"], *(by["S"] for by in lost[-MOST_LOST:])]


def _first_place(header: Item, executor: str, text: str) -> int:
    """Return the first place of a text that an executor may not have written to yet."""
    is_own = header.get(Attribute.CHUNKS_BY) == string(executor)
    return len(chunk_sks(header, text)) if is_own else 0


BUDGET_S = 10.0
"""Leaves time to answer within the function's 15 s that something is left."""


class DynamoDeletion:
    """
    Deletes sessions in an order that can be interrupted anywhere and begun again.

    Runs are erased first, their pointers go after them, and the session after all pointers.

    Before the pointers are read the session gets a mark, which every start removes: a session that
    has the mark yet has no pointer that was not seen. Those who delete it at once share the mark.
    """

    def __init__(
        self,
        table: Table,
        objects: "LargeObjects | None" = None,
        *,
        budget_s: float = BUDGET_S,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._table = table
        self._erasure = DynamoRunErasure(table, objects, now=now or SystemClock().now)
        self._budget_s = budget_s
        self._monotonic = monotonic

    def delete(self, tenant: str, session_id: str) -> None:
        """Delete a session and all that belongs to it."""
        give_up_at = self._monotonic() + self._budget_s

        def check_time() -> None:
            if self._monotonic() >= give_up_at:
                raise StoreUnavailableError("Not all of the session could be deleted in time.")

        mark = self._mark(tenant, session_id)
        if mark is None:
            raise SessionNotFoundError(session_id)
        while mark is not None:
            pointers_left = pointers_of(tenant, session_id, newest_first=True, only=_KEY)
            # The newest first: a live run is fenced.
            for pointers in self._table.pages(pointers_left, page_size=MAX_WRITES):
                runs = [RunKey(tenant=tenant, run_id=pointed_run_id(p)) for p in pointers]
                self._erasure.erase(runs, check_time=check_time)
                self._table.delete_all(pointers)
                check_time()
            if self._delete_unused_since(tenant, session_id, mark):
                return
            mark = self._mark(tenant, session_id)

    def _mark(self, tenant: str, session_id: str) -> str | None:
        """Mark a session, or find the mark that it has; None where there is no session."""
        mark = Write(
            "Update",
            session_key(tenant, session_id),
            f"SET {_DELETING} = if_not_exists({_DELETING}, :mark)",
            f"attribute_exists({Attribute.PK})",
            {":mark": string(uuid.uuid4().hex)},
        )
        try:
            marked = self._table.write(mark, returning="UPDATED_NEW")
        except ConditionFailedError:
            return None
        # moto, unlike DynamoDB, gives back only what has changed.
        marked = marked or self._table.item(session_key(tenant, session_id))
        if marked and _DELETING not in marked:
            return self._mark(tenant, session_id)
        return marked[_DELETING]["S"] if marked else None

    def _delete_unused_since(self, tenant: str, session_id: str, mark: str) -> bool:
        """Delete a session's own item, unless a run has been started in it since it was marked."""
        deletion = Write(
            "Delete",
            session_key(tenant, session_id),
            condition=f"{_DELETING} = :mark",
            values={":mark": string(mark)},
        )
        try:
            self._table.write(deletion)
        except ConditionFailedError:
            return False
        return True
