"""Runs in DynamoDB; condition expressions decide races."""

import contextlib
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo_client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo_items import (
    ENDED_HEADER_BYTES,
    RUNNING_HEADER_BYTES,
    Item,
    attributes,
    header_key,
    output_sk,
    run_from_header,
    run_pk,
    size_bytes,
)
from agentrun.adapters.dynamo_run_reader import DynamoRunReader, without_texts
from agentrun.adapters.dynamo_start import CLAIM, HEADER, SESSION, start_transaction
from agentrun.adapters.text_chunks import to_chunks
from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.idempotency import IdempotencyClaim
from agentrun.domain.model import epoch_ms
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Outcome, RunKey, RunStatus, changes_at_end, expired

_OWNED = "#status = :running AND executor = :executor"
_SET_BY_EXPIRY = (
    "status",
    "error_type",
    "error_message",
    "updated_at",
    "completed_at",
    "duration_ms",
    "last_event_id",
)
_CONDITION_FAILED = "ConditionalCheckFailed"


class DynamoRunStore(DynamoRunReader):
    """The port `RunStore` on the project's table."""

    def start(
        self, run: AgentRun, request: RunRequest, claim: IdempotencyClaim | None = None
    ) -> str:
        """Store a new RUNNING run, all or nothing; see the port."""
        writes: Any = start_transaction(self._table, run, request, claim)
        try:
            with unavailable_when_failing():
                self._client.transact_write_items(
                    TransactItems=writes,
                    # The same token makes a retry of ours a no-op for 10 minutes (API reference).
                    ClientRequestToken=run.id[:36],
                )
        except ClientError as error:
            if error_code(error) != "TransactionCanceledException":
                raise
            return self._stored_instead(run, claim, error)
        return run.id

    def _stored_instead(
        self, run: AgentRun, claim: IdempotencyClaim | None, error: ClientError
    ) -> str:
        """Find the run that was there already, or say why there is none."""
        reasons: Any = error.response.get("CancellationReasons", [])
        refused = [reason.get("Code") == _CONDITION_FAILED for reason in reasons]
        if refused[HEADER]:
            stored = reasons[HEADER].get("Item") or self.read_header(run.key)
            if run.lease and stored.get("executor", {}).get("S") == run.lease.executor:
                return run.id
            raise ConflictError(f"There is a run '{run.id}' already.") from error
        if claim and refused[CLAIM]:
            first = reasons[CLAIM]["Item"]
            if first["fingerprint"]["S"] == claim.fingerprint:
                return str(first["runId"]["S"])
            raise ConflictError("The Idempotency-Key stands for another request.") from error
        if refused[SESSION]:
            raise SessionNotFoundError(run.session_id) from error
        raise StoreUnavailableError("The store is busy with this session.") from error

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        """Renew the lease of a RUNNING run; see the port."""
        lease = {"leaseUntil": {"N": str(epoch_ms(lease_until))}}
        return self._update_owned(key, executor, lease)

    def finish(self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime) -> AgentRun:
        """Move a RUNNING run to a terminal status, exactly once; see the port."""
        changes = attributes(changes_at_end(outcome, at))
        # The header as it ran is under 1 KB by construction; the output gets what is left of 4 KB.
        if size_bytes(changes) > ENDED_HEADER_BYTES - RUNNING_HEADER_BYTES:
            del changes["output"]
            changes["outputChunks"] = {"N": str(self._put_output(key, outcome.output))}
        try:
            return self._update_owned(key, executor, changes)
        except FencedError as fenced:
            stored = run_from_header(self.read_header(key))
            mine = stored.lease is not None and stored.lease.executor == executor
            if mine and (stored.status, stored.last_event_id) == (
                outcome.status,
                outcome.last_event_id,
            ):
                return without_texts(stored)
            raise fenced

    def _put_output(self, key: RunKey, output: str) -> int:
        chunks = to_chunks(output)
        for number, chunk in enumerate(chunks):
            sort_key = {"S": output_sk(number)}
            item: Any = {"pk": {"S": run_pk(key)}, "sk": sort_key, "text": {"B": chunk}}
            with unavailable_when_failing():
                self._client.put_item(TableName=self._table, Item=item)
        return len(chunks)

    def _update_owned(self, key: RunKey, executor: str, changes: dict[str, Any]) -> AgentRun:
        operands = {":executor": {"S": executor}}
        stored = self._update_if(key, _OWNED, operands, changes, returning="ALL_NEW")
        return without_texts(run_from_header(stored))

    def _update_if(
        self,
        key: RunKey,
        condition: str,
        operands: dict[str, Any],
        changes: dict[str, Any],
        *,
        returning: Literal["ALL_NEW", "NONE"],
    ) -> Item:
        """Set attributes of a header whose run is RUNNING and meets the condition."""
        ends = ", version = version + :one" if "status" in changes else ""
        names = {f"#{name}": name for name in changes} | {"#status": "status"}
        values = operands | {f":{name}": value for name, value in changes.items()}
        values |= {":running": {"S": RunStatus.RUNNING}} | ({":one": {"N": "1"}} if ends else {})
        try:
            with unavailable_when_failing():
                answer = self._client.update_item(
                    TableName=self._table,
                    Key=header_key(key),
                    ConditionExpression=condition,
                    UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in changes) + ends,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                    ReturnValues=returning,
                )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise FencedError("Another executor owns the run, or it has ended.") from error
            raise
        return answer.get("Attributes", {})

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        """Ask the executor of a RUNNING run to end it; see the port."""
        changes = {"cancelRequestedAt": {"N": str(epoch_ms(at))}}
        with contextlib.suppress(FencedError):
            self._update_if(key, "#status = :running", {}, changes, returning="NONE")

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """Fail a RUNNING run whose lease is still the one seen; see the port."""
        if seen.lease is None:
            return without_texts(run_from_header(self.read_header(seen.key)))
        end = expired(seen, last_stored_event_id=self._last_stored_event_id(seen.key), at=at)
        lease = {
            ":executor": {"S": seen.lease.executor},
            ":lease": {"N": str(epoch_ms(seen.lease.until))},
        }
        changes = attributes({name: getattr(end, name) for name in _SET_BY_EXPIRY})
        condition = f"{_OWNED} AND leaseUntil = :lease"
        try:
            # The status function may name few attributes, so it may not ask for all of them back.
            self._update_if(seen.key, condition, lease, changes, returning="NONE")
        except FencedError:
            return without_texts(run_from_header(self.read_header(seen.key)))
        return without_texts(end)

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
