"""Runs in DynamoDB; condition expressions decide races."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo.items import (
    Item,
    attributes,
    header_key,
    is_erased,
    run_from_header,
    run_pk,
)
from agentrun.adapters.dynamo.run_end import run_end
from agentrun.adapters.dynamo.run_reader import without_texts
from agentrun.adapters.dynamo.run_turns import DynamoRunTurns
from agentrun.adapters.dynamo.texts import store_chunk
from agentrun.domain.errors import FencedError, RunNotFoundError, StoreUnavailableError
from agentrun.domain.runs import AgentRun, EndProgress, Outcome, RunKey, RunStatus
from agentrun.domain.settling import settled
from agentrun.domain.value import epoch_ms, to_milliseconds

_OWNED = "#status IN (:queued, :running) AND executor = :executor"
_LEASE_IS_SHORTER = "leaseUntil <= :leaseUntil"
_UNDER_WAY = {":queued": {"S": RunStatus.QUEUED}, ":running": {"S": RunStatus.RUNNING}}
_SET_BY_EXPIRY = (
    "status",
    "error_type",
    "error_message",
    "updated_at",
    "completed_at",
    "duration_ms",
    "last_event_id",
)
CANCEL_ATTEMPTS = 5
"""A run that changes its status under every one of them is changing faster than runs do."""


class _RefusedError(FencedError):
    """A header does not meet a write's condition; knows the header where it was asked for."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        super().__init__("Another executor owns the run, or it has ended.")
        self._header: Item = response.get("Item", {})

    def run_of(self, executor: str, statuses: Collection[RunStatus]) -> AgentRun:
        """
        Return the run if this executor holds it all the same.

        Raises:
            FencedError: It does not.
        """
        if self._header and not is_erased(self._header):
            stored = run_from_header(self._header)
            if stored.status in statuses and stored.lease and stored.lease.executor == executor:
                return without_texts(stored)
        raise self


class DynamoRunStore(DynamoRunTurns):
    """The port `RunStore` on the project's table."""

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        """Renew the lease of a QUEUED or RUNNING run; see the port."""
        lease = {"leaseUntil": {"N": str(epoch_ms(lease_until))}}
        try:
            return self._update_owned(key, executor, lease, also_if=_LEASE_IS_SHORTER)
        except _RefusedError as refused:
            # A lease that is longer by now is this executor's own work: this write comes late.
            return refused.run_of(executor, {RunStatus.QUEUED, RunStatus.RUNNING})

    def begin_continuation(
        self, key: RunKey, executor: str, *, lease_until: datetime, start_id: int
    ) -> AgentRun:
        """Make START of a resumed run durable; see the port."""
        changes = {
            "leaseUntil": {"N": str(epoch_ms(lease_until))},
            "lastEventId": {"N": str(start_id)},
        }
        operands = {":running": {"S": RunStatus.RUNNING}, ":executor": {"S": executor}}
        condition = (
            "#status = :running AND executor = :executor"
            f" AND ({_LEASE_IS_SHORTER} OR lastEventId < :lastEventId)"
        )
        try:
            stored = self._update_if(key, condition, operands, changes, returning="ALL_NEW")
        except _RefusedError as refused:
            return refused.run_of(executor, {RunStatus.RUNNING})
        return without_texts(run_from_header(stored))

    def finish(
        self,
        key: RunKey,
        executor: str,
        outcome: Outcome,
        *,
        at: datetime,
        progress: EndProgress | None = None,
    ) -> AgentRun:
        """Move a QUEUED or RUNNING run to PAUSED or a terminal status; see the port."""
        end, progress = run_end(key, executor, outcome, at), progress or EndProgress()
        # One after the other: deletion stops an executor at its first free place.
        for chunk in end.chunks[progress.stored :]:
            store_chunk(self._client, self._table, chunk, end=progress.end)
            progress.stored += 1
        try:
            return self._update_owned(key, executor, end.changes, removes=end.removed)
        except FencedError as fenced:
            stored = self._stored_by(key, executor, fenced)
            if (stored.status, stored.last_event_id) == (outcome.status, outcome.last_event_id):
                return stored
            raise fenced

    def restore_pause(self, key: RunKey, executor: str, *, at: datetime, paused_id: int) -> None:
        """Make a resumed run PAUSED again, as it was; see the port."""
        now = to_milliseconds(at)
        changes = attributes(
            {"status": RunStatus.PAUSED, "updated_at": now, "last_event_id": paused_id}
        )
        operands = {":running": {"S": RunStatus.RUNNING}, ":executor": {"S": executor}}
        condition = "#status = :running AND executor = :executor AND attribute_exists(pausedUntil)"
        try:
            self._update_if(key, condition, operands, changes, also="leaseUntil = pausedUntil")
        except FencedError as fenced:
            if self._stored_by(key, executor, fenced).status is not RunStatus.PAUSED:
                raise fenced

    def _stored_by(self, key: RunKey, executor: str, fenced: FencedError) -> AgentRun:
        """Return a run whose lease is or was this executor's, which may have fenced itself off."""
        try:
            stored = run_from_header(self.read_header(key))
        except RunNotFoundError:
            raise fenced from None
        if stored.lease is None or stored.lease.executor != executor:
            raise fenced
        return without_texts(stored)

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        """End a QUEUED or PAUSED run, or ask the executor of a RUNNING one to; see the port."""
        for _ in range(CANCEL_ATTEMPTS):
            try:
                run = self.get_state(key)
            except RunNotFoundError:
                return
            if run.status.is_terminal:
                return
            try:
                self._cancel(key, run.status, at)
            except FencedError:
                continue
            if run.status is RunStatus.QUEUED:
                self.leave_queue(run)
            return
        raise StoreUnavailableError("The run is changing too fast to be cancelled.")

    def _cancel(self, key: RunKey, status: RunStatus, at: datetime) -> None:
        operands = {":seen": {"S": status}}
        if status is RunStatus.RUNNING:
            flag = {"cancelRequestedAt": {"N": str(epoch_ms(at))}}
            self._update_if(key, "#status = :seen", operands, flag)
            return
        now = to_milliseconds(at)
        changes = {"status": RunStatus.CANCELLED, "completed_at": now, "updated_at": now}
        # CANCELLED is said by whoever reads the run, one event after its last.
        also = "lastEventId = lastEventId + :one"
        self._update_if(key, "#status = :seen", operands, attributes(changes), also=also)

    def settle(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """Settle a run whose lease is still the one seen; see the port."""
        if seen.lease is None or seen.status.is_terminal:
            raise FencedError("The run has ended.")
        last = self._last_stored_event_id(seen.key)
        after = settled(seen, last_stored_event_id=last, at=at)
        changes = attributes({name: getattr(after, name) for name in _SET_BY_EXPIRY})
        if after.lease is not None and after.lease != seen.lease:
            changes["leaseUntil"] = {"N": str(epoch_ms(after.lease.until))}
        operands = {
            ":seen": {"S": seen.status},
            ":executor": {"S": seen.lease.executor},
            ":lease": {"N": str(epoch_ms(seen.lease.until))},
            ":seenLast": {"N": str(seen.last_event_id)},
        }
        flag = "attribute_exists" if seen.cancel_requested else "attribute_not_exists"
        condition = (
            "#status = :seen AND executor = :executor AND leaseUntil = :lease"
            f" AND lastEventId = :seenLast AND {flag}(cancelRequestedAt)"
        )
        self._update_if(seen.key, condition, operands, changes)
        if seen.status is RunStatus.QUEUED:
            self.leave_queue(seen)
        return after

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """Settle a run, where that is still to be done; see the port."""
        try:
            return without_texts(self.settle(seen, at=at))
        except FencedError:
            return self.get_state(seen.key)

    def _last_stored_event_id(self, key: RunKey) -> int:
        with unavailable_when_failing():
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :events)",
                ExpressionAttributeValues={":pk": {"S": run_pk(key)}, ":events": {"S": "EV#"}},
                ProjectionExpression="sk",
                ScanIndexForward=False,
                Limit=1,
                ConsistentRead=True,
            )
        return int(answer["Items"][0]["sk"]["S"].removeprefix("EV#")) if answer["Items"] else 0

    def _update_owned(
        self,
        key: RunKey,
        executor: str,
        changes: Mapping[str, Any],
        *,
        also_if: str = "",
        removes: Sequence[str] = (),
    ) -> AgentRun:
        operands = {":executor": {"S": executor}, **_UNDER_WAY}
        condition = f"{_OWNED} AND {also_if}" if also_if else _OWNED
        stored = self._update_if(
            key, condition, operands, changes, removes=removes, returning="ALL_NEW"
        )
        return without_texts(run_from_header(stored))

    def _update_if(
        self,
        key: RunKey,
        condition: str,
        operands: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        also: str = "",
        removes: Sequence[str] = (),
        returning: Literal["ALL_NEW", "NONE"] = "NONE",
    ) -> Item:
        """
        Set attributes of a header that meets the condition; a new status is a new version.

        The status function may name few attributes, so it may not ask for all of them back.

        Raises:
            FencedError: The header does not meet it, or there is none.
        """
        sets = [f"#{name} = :{name}" for name in changes] + ([also] if also else [])
        if "status" in changes:
            sets.append("version = version + :one")
        removed = f" REMOVE {', '.join(f'#{name}' for name in removes)}" if removes else ""
        values = {**operands, **{f":{name}": value for name, value in changes.items()}}
        try:
            with unavailable_when_failing():
                answer = self._client.update_item(
                    TableName=self._table,
                    Key=header_key(key),
                    ConditionExpression=condition,
                    UpdateExpression=f"SET {', '.join(sets)}{removed}",
                    ExpressionAttributeNames={f"#{n}": n for n in {*changes, *removes, "status"}},
                    ExpressionAttributeValues=values
                    | ({":one": {"N": "1"}} if "status" in changes else {}),
                    ReturnValues=returning,
                    ReturnValuesOnConditionCheckFailure=(
                        "ALL_OLD" if returning == "ALL_NEW" else "NONE"
                    ),
                )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise _RefusedError(error.response) from error
            raise
        return answer.get("Attributes", {})
