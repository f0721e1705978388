"""What the end of an execution writes: attributes of the header, and chunks beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentrun.adapters.dynamo.items import (
    ENDED_HEADER_BYTES,
    RUNNING_HEADER_BYTES,
    attributes,
    compress,
    size_bytes,
    to_chunks,
    to_slices,
)
from agentrun.adapters.dynamo.texts import WITH_PREVIEW, chunk_items
from agentrun.domain.runs import Completed, Outcome, PausedForApproval, RunKey, changes_at_end
from agentrun.domain.value import epoch_ms

CHECKPOINT_GRACE = timedelta(days=2)
"""How long a checkpoint outlives the pause; whoever continues at the last moment needs it yet."""
_CHUNK_NOTES_BYTES = 128
"""What the header takes to say where chunks are."""
_LEFT_BY_AN_END = ("output", "outputChunks", "messages", "messagesChunks", "checkpointChunks")


@dataclass(frozen=True)
class RunEnd:
    """
    The writes of an end: first the chunks, then the header's attributes as the commit point.

    `removed` are what an earlier end of the same run, a pause, may have left in the header.
    """

    chunks: list[dict[str, Any]]
    changes: dict[str, Any]
    removed: tuple[str, ...]


def run_end(key: RunKey, executor: str, outcome: Outcome, at: datetime) -> RunEnd:
    """Say an outcome in items; texts go into the header as long as it stays within 4 KB."""
    changes = attributes(changes_at_end(outcome, at))
    del changes["output"]
    beside: dict[str, list[bytes]] = {}
    # What is asked of a human goes into the header in any case.
    room = ENDED_HEADER_BYTES - RUNNING_HEADER_BYTES - _CHUNK_NOTES_BYTES
    room -= size_bytes({name: changes[name] for name in changes if name != "requiredAction"})
    for name, text in _texts(outcome).items():
        attribute = {name: {"B": compress(text)}}
        if size_bytes(attribute) <= room:
            changes |= attribute
            room -= size_bytes(attribute)
        else:
            beside[name] = to_chunks(text) if name in WITH_PREVIEW else to_slices(text)
    checkpoint_until = None
    if isinstance(outcome, PausedForApproval):
        beside["checkpoint"] = to_slices(outcome.checkpoint.model_dump_json())
        checkpoint_until = outcome.paused_until + CHECKPOINT_GRACE
        changes["leaseUntil"] = {"N": str(epoch_ms(outcome.paused_until))}
    changes |= {f"{name}Chunks": {"N": str(len(chunks))} for name, chunks in beside.items()}
    if beside:
        changes["chunksBy"] = {"S": executor}
    chunks = chunk_items(key, executor, beside, checkpoint_until=checkpoint_until)
    return RunEnd(chunks, changes, tuple(name for name in _LEFT_BY_AN_END if name not in changes))


def _texts(outcome: Outcome) -> Mapping[str, str]:
    texts = {"output": outcome.output}
    if isinstance(outcome, Completed) and outcome.messages is not None:
        texts["messages"] = outcome.messages
    return texts
