"""The transaction that makes a run durable: header, request, session and its pointer."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from agentrun.adapters.dynamo.items import (
    RUNNING_HEADER_BYTES,
    Item,
    compress,
    header_item,
    pointer_sk,
    request_sk,
    run_pk,
    session_key,
    session_list_key,
    session_list_position,
    session_pk,
    size_bytes,
    tenant_key,
    to_chunks,
)
from agentrun.adapters.dynamo.session_lock import holder_is_over, joining, taking
from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import ConflictError
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.value import epoch_ms

TITLE_CHARACTERS = 80
CLAIM_RETENTION = timedelta(hours=24)
HEADER, SESSION, CLAIM = 0, 1, 2
"""Where the writes that can be refused stand, in the transaction and in its reasons."""


def start_transaction(
    table: str,
    run: AgentRun,
    request: RunRequest,
    claim: IdempotencyClaim | None,
    *,
    seen: SessionLock,
    dead: Collection[str] = (),
    fingerprint: str | None = None,
) -> list[dict[str, Any]]:
    """Return the writes of a new run; those that can be refused come first, in the order above."""
    header = header_item(run)
    is_queued = run.status is RunStatus.QUEUED
    chunks: list[bytes] = []
    if size_bytes(header) > RUNNING_HEADER_BYTES:
        chunks = to_chunks(request.message)
        del header["input"]
        header["inputChunks"] = {"N": str(len(chunks))}
    return [
        {
            "Put": {
                "TableName": table,
                "Item": header,
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        },
        {"Update": _session_update(table, run, request, seen, dead)},
        *([{"Put": _claim_put(table, run, claim)}] if claim else []),
        {"Put": {"TableName": table, "Item": _pointer_item(run, fingerprint)}},
        *({"Put": {"TableName": table, "Item": i}} for i in _request_items(run, request, chunks)),
        *([] if is_queued else holder_is_over(table, run, seen)),
    ]


def _session_update(
    table: str, run: AgentRun, request: RunRequest, seen: SessionLock, dead: Collection[str]
) -> dict[str, Any]:
    executor = run.lease.executor if run.lease else ""
    is_queued = run.status is RunStatus.QUEUED
    lock = joining(seen, run.id, dead) if is_queued else taking(seen, run.id, executor)
    owned = "(attribute_not_exists(pk) OR (userId = :user AND agentId = :agent))"
    return {
        "TableName": table,
        "Key": session_key(run.org_id, run.session_id),
        "ConditionExpression": f"{owned} AND {lock.condition}",
        "UpdateExpression": (
            "SET userId = :user, agentId = :agent, updatedAt = :at, gsi1pk = :list, gsi1sk = :used,"
            " createdAt = if_not_exists(createdAt, :at), title = if_not_exists(title, :title), "
            # Whoever deletes the session looks once more for runs that have come into it.
            f"{lock.sets} REMOVE {', '.join(('deleting', *lock.removes))}"
        ),
        "ExpressionAttributeNames": lock.names,
        "ExpressionAttributeValues": {
            ":user": {"S": run.user_id},
            ":agent": {"S": run.agent_id},
            ":at": {"N": str(epoch_ms(run.created_at))},
            ":list": {"S": session_list_key(run.org_id, run.user_id)},
            ":used": {"S": session_list_position(run.created_at, run.session_id, run.agent_id)},
            ":title": {"S": session_title(request)},
            **lock.values,
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def session_title(request: RunRequest) -> str:
    """Name a session after its first message."""
    return " ".join(request.message.split())[:TITLE_CHARACTERS]


def claim_key(tenant: str, claim: IdempotencyClaim) -> dict[str, dict[str, str]]:
    """Return the primary key of a claim."""
    return {"pk": {"S": tenant_key(tenant, "IDEM", claim.key_hash)}, "sk": {"S": "IDEM"}}


def claimed_run(item: Item, claim: IdempotencyClaim) -> str:
    """
    Read which run a stored claim stands for.

    Raises:
        ConflictError: It is another request's.
    """
    if item["fingerprint"]["S"] != claim.fingerprint:
        raise ConflictError("The Idempotency-Key stands for another request.")
    return str(item["runId"]["S"])


def _claim_put(table: str, run: AgentRun, claim: IdempotencyClaim) -> dict[str, Any]:
    forgotten_at = run.created_at + CLAIM_RETENTION
    return {
        "TableName": table,
        "Item": {
            **claim_key(run.org_id, claim),
            "runId": {"S": run.id},
            "fingerprint": {"S": claim.fingerprint},
            "ttl": {"N": str(int(forgotten_at.timestamp()))},
        },
        # DynamoDB deletes what has outlived its `ttl` only within days.
        "ConditionExpression": "attribute_not_exists(pk) OR #ttl < :now",
        "ExpressionAttributeNames": {"#ttl": "ttl"},
        "ExpressionAttributeValues": {":now": {"N": str(int(run.created_at.timestamp()))}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _pointer_item(run: AgentRun, fingerprint: str | None) -> dict[str, Any]:
    """Return the pointer, which holds the fingerprint: it has room, unlike the header of a run."""
    return {
        "pk": {"S": session_pk(run.org_id, run.session_id)},
        "sk": {"S": pointer_sk(run)},
        **({"fingerprint": {"S": fingerprint}} if fingerprint else {}),
    }


def _request_items(run: AgentRun, request: RunRequest, chunks: list[bytes]) -> list[dict[str, Any]]:
    """
    Return what the header does not hold of a request: its options, a long message.

    Most requests are a short message and nothing else, and cost no item of their own. Media stay
    out: they may be larger than a transaction.
    """
    left_out = {"message", "session_id", "user_id", "org_id", "media"}
    rest = request.model_dump_json(exclude=left_out, exclude_defaults=True)
    texts: list[dict[str, Any]] = [{"text": {"B": chunk}} for chunk in chunks]
    if rest != "{}":
        texts = texts or [{}]
        texts[0]["request"] = {"B": compress(rest)}
    return [
        {"pk": {"S": run_pk(run.key)}, "sk": {"S": request_sk(number)}} | item
        for number, item in enumerate(texts)
    ]
