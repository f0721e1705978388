"""The worker's handler works off each message by itself, within the invocation's time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from agentrun.adapters.sqs.batch_handler import BatchHandler, Record
from tests.fakes.clock import FixedClock
from tests.runs import AT

Work = Callable[[Record, datetime], Awaitable[bool]]


class Context:
    """Lambda's context of an invocation that has 300 s left."""

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def event(*message_ids: str) -> dict[str, Any]:
    return {"Records": [{"messageId": message_id} for message_id in message_ids]}


def answers_of(work: Work, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """Invoke one handler with one event after the other."""
    with closing(BatchHandler(work, FixedClock(AT))) as handler:
        return [handler(each, Context()) for each in events]


async def fails_for_bad(record: Mapping[str, Any], _deadline: datetime) -> bool:
    await asyncio.sleep(0)
    match record["messageId"]:
        case "bad":
            raise ValueError("as told")
        case "cancelled":
            raise asyncio.CancelledError
    return str(record["messageId"]) != "not done"


def test_the_messages_that_failed_are_named_and_no_others() -> None:
    answer = answers_of(fails_for_bad, event("good", "bad", "cancelled", "not done", "fine"))[0]
    assert answer == {
        "batchItemFailures": [{"itemIdentifier": name} for name in ("bad", "cancelled", "not done")]
    }


def test_a_batch_without_failures_names_none() -> None:
    assert answers_of(fails_for_bad, event("good")) == [{"batchItemFailures": []}]


def test_work_knows_when_the_invocation_ends() -> None:
    deadlines = []

    async def work(_record: Mapping[str, Any], deadline: datetime) -> bool:
        deadlines.append(deadline)
        return True

    answers_of(work, event("one", "two"))
    assert deadlines == [AT + timedelta(minutes=5)] * 2


def test_invocations_share_one_loop() -> None:
    loops = []

    async def work(_record: Mapping[str, Any], _deadline: datetime) -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    answers_of(work, event("one"), event("two"))
    assert loops[0] is loops[1]


def test_a_failure_is_logged_with_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """One that is not done has told why itself."""
    answers_of(fails_for_bad, event("bad", "not done"))
    (record,) = caplog.records
    assert record.getMessage() == "message bad failed"
    assert record.exc_info is not None
