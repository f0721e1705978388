"""A batch of records on its way through a function: the event, and what the answer says of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrun_local.functions.invocation import FunctionError, Invoker, to_event


@dataclass(frozen=True)
class Outcome:
    """
    What has become of a batch.

    `failed` are the ids of the records that failed, all of them if the function did; `error` says
    how, if it did.
    """

    failed: frozenset[str]
    error: str = ""


async def worked_off(
    invoker: Invoker,
    records: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
    *,
    reports_failures: bool,
) -> Outcome:
    """
    Send records to a function as one event, and wait for its end.

    Args:
        invoker: The function.
        records: What the event holds.
        ids: By which the function names them where it reports failures.
        reports_failures: Whether its answer counts; else it fails by raising alone.
    """
    everything = frozenset(ids)
    try:
        answer = await invoker.invoke(to_event({"Records": list(records)})).payload()
    except FunctionError as error:
        return Outcome(everything, str(error))
    if not reports_failures:
        return Outcome(frozenset())
    try:
        failed = _named(answer)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Outcome(everything, "Its answer does not say what failed.")
    if not failed <= everything:
        return Outcome(everything, "Its answer names what was not in the batch.")
    return Outcome(failed)


def _named(answer: bytes) -> frozenset[str]:
    """Read an answer; Lambda takes an empty one, or one without failures, for success."""
    said = json.loads(answer or b"null")
    if not said:
        return frozenset()
    return frozenset(failure["itemIdentifier"] for failure in said["batchItemFailures"] or ())
