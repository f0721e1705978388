"""How runs come into their session and take turns in it; each step is one transaction."""

import contextlib
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import (
    TransactionRefusedError,
    error_code,
    unavailable_when_failing,
    write_all,
)
from agentrun.adapters.dynamo.items import (
    Item,
    attributes,
    header_key,
    is_erased,
    run_from_header,
    session_key,
)
from agentrun.adapters.dynamo.run_reader import DynamoRunReader, without_texts
from agentrun.adapters.dynamo.session_lock import (
    holder_is_over,
    leaving_queue,
    letting_go,
    lock_of,
    releasing,
    take_lock,
)
from agentrun.adapters.dynamo.start_transaction import (
    CLAIM,
    HEADER,
    SESSION,
    claim_key,
    claimed_run,
    start_transaction,
)
from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    RunNotFoundError,
    SessionBusyError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.value import epoch_ms, to_milliseconds

LEAVE_ATTEMPTS = 3
"""Who does not get out of the queue by then is left for the next one who joins."""
_DELETED = "The run was stored, and it has been deleted since with its session."


class DynamoRunTurns(DynamoRunReader):
    """The part of the port `RunStore` that moves a session's lock."""

    def start(
        self,
        run: AgentRun,
        request: RunRequest,
        claim: IdempotencyClaim | None = None,
        *,
        seen: SessionLock = FREE,
        dead: Collection[str] = (),
        fingerprint: str | None = None,
    ) -> str:
        """Store a new run with its place in its session; see the port."""
        writes = start_transaction(
            self._table, run, request, claim, seen=seen, dead=dead, fingerprint=fingerprint
        )
        try:
            write_all(self._client, writes)
        except TransactionRefusedError as refused:
            return self._stored_instead(run, claim, refused)
        return run.id

    def _stored_instead(
        self, run: AgentRun, claim: IdempotencyClaim | None, refused: TransactionRefusedError
    ) -> str:
        """Find the run that was there already, or say why there is none."""
        if refused.is_of(HEADER):
            stored = refused.item(HEADER) or self.read_header(run.key)
            if is_erased(stored):
                raise FencedError(_DELETED) from refused
            if run.lease and stored.get("executor", {}).get("S") == run.lease.executor:
                # An earlier try of this very start, if nothing has happened to the run since.
                self._renew(run.key, run.status, run.lease)
                return run.id
            raise ConflictError(f"There is a run '{run.id}' already.") from refused
        if claim and refused.is_of(CLAIM):
            first_id = claimed_run(refused.item(CLAIM), claim)
            if first_id == run.id:
                raise FencedError(_DELETED) from refused
            return first_id
        session = refused.item(SESSION) or self._read_session(run)
        owner = (session.get("userId"), session.get("agentId"))
        if session and owner != ({"S": run.user_id}, {"S": run.agent_id}):
            raise SessionNotFoundError(run.session_id) from refused
        lock = lock_of(session)
        if lock.is_of(run.id):
            raise FencedError(_DELETED) from refused
        raise SessionBusyError(lock) from refused

    def _renew(self, key: RunKey, status: RunStatus, lease: Lease) -> None:
        """
        Renew the lease of a run that an earlier try has written, if this one's lasts longer.

        Raises:
            FencedError: The run has ended since, or gone on without this executor, or is gone.
        """
        values: dict[str, Any] = {
            ":until": {"N": str(epoch_ms(lease.until))},
            ":status": {"S": status},
            ":executor": {"S": lease.executor},
        }
        mine = "#status = :status AND executor = :executor"
        try:
            with unavailable_when_failing():
                self._client.update_item(
                    TableName=self._table,
                    Key=header_key(key),
                    ConditionExpression=f"{mine} AND leaseUntil < :until",
                    UpdateExpression="SET leaseUntil = :until",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            response: Any = error.response
            stored = response.get("Item", {})
            if (stored.get("status"), stored.get("executor")) != (
                values[":status"],
                values[":executor"],
            ):
                raise FencedError("The run was stored, and it has ended since.") from error

    def claimed(self, tenant: str, claim: IdempotencyClaim, *, at: datetime) -> str | None:
        """Return the id of the run that a claim stands for; see the port."""
        with unavailable_when_failing():
            answer = self._client.get_item(
                TableName=self._table, Key=claim_key(tenant, claim), ConsistentRead=True
            )
        item = answer.get("Item")
        if item is None or int(item["ttl"]["N"]) < int(at.timestamp()):
            return None
        return claimed_run(item, claim)

    def _read_session(self, run: AgentRun) -> Item:
        with unavailable_when_failing():
            answer = self._client.get_item(
                TableName=self._table,
                Key=session_key(run.org_id, run.session_id),
                ConsistentRead=True,
            )
        return answer.get("Item", {})

    def begin_queued(
        self, run: AgentRun, executor: str, *, seen: SessionLock, at: datetime
    ) -> AgentRun:
        """Move a QUEUED run to RUNNING and give it its session's lock; see the port."""
        now = to_milliseconds(at)
        changes = {"status": RunStatus.RUNNING, "started_at": now, "updated_at": now}
        operands = {":queued": {"S": RunStatus.QUEUED}, ":executor": {"S": executor}}
        condition = "#status = :queued AND executor = :executor"
        header = self._header_update(run.key, condition, operands, changes)
        # Refused, perhaps by its own earlier success: the header tells.
        with contextlib.suppress(TransactionRefusedError):
            self._write_with_lock(header, run, executor, seen)
        stored = self._held_by(run.key, executor)
        if stored is None:
            raise FencedError("The run is not queued by this executor any more.")
        return stored

    def resume(self, paused: AgentRun, lease: Lease, *, seen: SessionLock, at: datetime) -> None:
        """Move a PAUSED run to RUNNING and give it its session's lock; see the port."""
        changes = {"status": RunStatus.RUNNING, "updated_at": to_milliseconds(at)}
        operands = {
            ":paused": {"S": RunStatus.PAUSED},
            ":seenVersion": {"N": str(paused.version)},
            ":now": {"N": str(epoch_ms(at))},
            ":executor": {"S": lease.executor},
            ":until": {"N": str(epoch_ms(lease.until))},
        }
        condition = (
            "#status = :paused AND version = :seenVersion AND leaseUntil > :now"
            " AND attribute_not_exists(cancelRequestedAt)"
        )
        header = self._header_update(paused.key, condition, operands, changes)
        header["UpdateExpression"] += ", executor = :executor, leaseUntil = :until"
        try:
            self._write_with_lock(header, paused, lease.executor, seen)
        except TransactionRefusedError as refused:
            problem = f"The run '{paused.id}' is not paused any more."
            try:
                # Its own earlier try, perhaps, if nothing has happened to the run since.
                self._renew(paused.key, RunStatus.RUNNING, lease)
            except FencedError:
                raise ConflictError(problem) from refused

    def _header_update(
        self, key: RunKey, condition: str, operands: dict[str, Any], changes: dict[str, object]
    ) -> dict[str, Any]:
        written = attributes(changes)
        sets = ", ".join(f"#{name} = :{name}" for name in written)
        return {
            "TableName": self._table,
            "Key": header_key(key),
            "ConditionExpression": condition,
            "UpdateExpression": f"SET version = version + :one, {sets}",
            "ExpressionAttributeNames": {f"#{name}": name for name in written},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                **{f":{name}": value for name, value in written.items()},
                **operands,
            },
        }

    def _write_with_lock(
        self, header: dict[str, Any], run: AgentRun, executor: str, seen: SessionLock
    ) -> None:
        """
        Write a header and take its session's lock.

        Raises:
            TransactionRefusedError: The header is not as it has to be.
            SessionBusyError: The header is, but the lock is not as seen, or its holder lives.
        """
        lock = take_lock(self._table, run, executor, seen)
        writes = [{"Update": header}, {"Update": lock}, *holder_is_over(self._table, run, seen)]
        try:
            write_all(self._client, writes)
        except TransactionRefusedError as refused:
            if refused.is_of(HEADER):
                raise
            session = refused.item(SESSION) or self._read_session(run)
            raise SessionBusyError(lock_of(session)) from refused

    def _held_by(self, key: RunKey, executor: str) -> AgentRun | None:
        """Return a run if this executor is running it."""
        try:
            stored = run_from_header(self.read_header(key))
        except RunNotFoundError:
            return None
        is_held = stored.lease is not None and stored.lease.executor == executor
        return without_texts(stored) if is_held and stored.status is RunStatus.RUNNING else None

    def release(self, run: AgentRun) -> None:
        """Let go of the run's session, if this execution holds it; see the port."""
        if run.lease is None:
            return
        if run.status is RunStatus.QUEUED:
            self._leave(run, letting_go)
        else:
            self._update_lock(run, releasing(run.id, run.lease.executor))

    def leave_queue(self, run: AgentRun) -> None:
        """Take a run that has ended without its turn out of its session's queue; best effort."""
        with contextlib.suppress(StoreUnavailableError):
            self._leave(run, leaving_queue)

    def _leave(
        self, run: AgentRun, leaving: Callable[[SessionLock, AgentRun], Item | None]
    ) -> None:
        """Leave a lock that others may be leaving at this moment."""
        for _ in range(LEAVE_ATTEMPTS):
            update = leaving(lock_of(self._read_session(run)), run)
            if update is None or self._update_lock(run, update):
                return

    def _update_lock(self, run: AgentRun, update: Item) -> bool:
        """Change a lock if it is as the update says; tell whether it was."""
        try:
            with unavailable_when_failing():
                self._client.update_item(
                    TableName=self._table, Key=session_key(run.org_id, run.session_id), **update
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True
