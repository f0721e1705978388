"""Turns of conversations written to DynamoDB, and what is in its table then."""

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.domain.runs import AgentRun
from tests.runs import AT, EXECUTOR, a_request, a_run, completed
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def turn(
    store: DynamoRunStore, number: int, output: str = "hi", messages: str | None = None, **of: Any
) -> AgentRun:
    at = AT + timedelta(seconds=number)
    run = a_run(f"run-{number}", **{"created_at": at, "updated_at": at} | of)
    store.start(run, a_request())
    store.finish(run.key, EXECUTOR, completed(output, messages=messages), at=at)
    store.release(run)
    return run


def items(client: "DynamoDBClient") -> list[dict[str, Any]]:
    pages = client.get_paginator("scan").paginate(TableName=TABLE)
    return [dict(item) for page in pages for item in page["Items"]]


def letters(size: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices("abcdefghijklmnop", k=size))
