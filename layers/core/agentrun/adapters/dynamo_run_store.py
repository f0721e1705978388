"""Runs in DynamoDB; condition expressions decide races."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo_client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo_items import Item, attributes, header_key, run_from_header, run_pk
from agentrun.adapters.dynamo_run_end import run_end
from agentrun.adapters.dynamo_run_reader import without_texts
from agentrun.adapters.dynamo_run_turns import DynamoRunTurns
from agentrun.domain.errors import FencedError, RunNotFoundError, StoreUnavailableError
from agentrun.domain.model import epoch_ms, to_milliseconds
from agentrun.domain.outcomes import Outcome
from agentrun.domain.runs import AgentRun, RunKey, RunStatus, settled

_OWNED = "#status IN (:queued, :running) AND executor = :executor"
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


class DynamoRunStore(DynamoRunTurns):
    """The port `RunStore` on the project's table."""

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        """Renew the lease of a QUEUED or RUNNING run; see the port."""
        lease = {"leaseUntil": {"N": str(epoch_ms(lease_until))}}
        return self._update_owned(key, executor, lease)

    def finish(self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime) -> AgentRun:
        """Move a QUEUED or RUNNING run to PAUSED or a terminal status; see the port."""
        end = run_end(key, executor, outcome, at)
        for item in end.chunks:
            with unavailable_when_failing():
                self._client.put_item(TableName=self._table, Item=item)
        try:
            return self._update_owned(key, executor, end.changes, removes=end.removed)
        except FencedError as fenced:
            stored = self._stored_by(key, executor, fenced)
            if (stored.status, stored.last_event_id) == (outcome.status, outcome.last_event_id):
                return stored
            raise fenced

    def restore_pause(self, key: RunKey, executor: str, *, at: datetime) -> None:
        """Make a resumed run PAUSED again, as it was; see the port."""
        changes = attributes({"status": RunStatus.PAUSED, "updated_at": to_milliseconds(at)})
        operands = {":running": {"S": RunStatus.RUNNING}, ":executor": {"S": executor}}
        condition = "#status = :running AND executor = :executor AND attribute_exists(pausedUntil)"
        try:
            self._update_if(key, condition, operands, changes, also="leaseUntil = pausedUntil")
        except FencedError as fenced:
            if self._stored_by(key, executor, fenced).status is not RunStatus.PAUSED:
                raise fenced

    def _stored_by(self, key: RunKey, executor: str, fenced: FencedError) -> AgentRun:
        """Give a run whose lease is or was this executor's; it may be that it fenced itself off."""
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

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """Settle a run whose lease is still the one seen; see the port."""
        if seen.lease is None or seen.status.is_terminal:
            return self.get_state(seen.key)
        last = self._last_stored_event_id(seen.key)
        after = settled(seen, last_stored_event_id=last, at=at)
        changes = attributes({name: getattr(after, name) for name in _SET_BY_EXPIRY})
        if after.lease is not None and after.lease != seen.lease:
            changes["leaseUntil"] = {"N": str(epoch_ms(after.lease.until))}
        operands = {
            ":seen": {"S": seen.status},
            ":executor": {"S": seen.lease.executor},
            ":lease": {"N": str(epoch_ms(seen.lease.until))},
        }
        condition = "#status = :seen AND executor = :executor AND leaseUntil = :lease"
        try:
            self._update_if(seen.key, condition, operands, changes)
        except FencedError:
            return self.get_state(seen.key)
        if seen.status is RunStatus.QUEUED:
            self.leave_queue(seen)
        return without_texts(after)

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
        removes: Sequence[str] = (),
    ) -> AgentRun:
        operands = {":executor": {"S": executor}, **_UNDER_WAY}
        stored = self._update_if(
            key, _OWNED, operands, changes, removes=removes, returning="ALL_NEW"
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
                )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise FencedError("Another executor owns the run, or it has ended.") from error
            raise
        return answer.get("Attributes", {})
