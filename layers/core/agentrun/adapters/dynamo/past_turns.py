"""The ended runs of a session, read newest first up to a bound."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.client import DynamoBatches, unavailable_when_failing
from agentrun.adapters.dynamo.items import (
    POINTER_PREFIX,
    Item,
    chunk_sks,
    decompress,
    from_chunks,
    from_slices,
    header_key,
    is_erased,
    pointed_run_id,
    run_from_header,
    run_pk,
    session_pk,
)
from agentrun.adapters.dynamo.texts import WITH_PREVIEW
from agentrun.domain.conversations import PastTurn
from agentrun.domain.runs import RunKey, RunStatus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE_RUNS = 100
CHUNKS_AT_ONCE = 24
"""Of at most 350 KB each: half of what BatchGetItem answers at once, and not much read in vain."""
_TEXTS = ("input", "output", "messages")


class DynamoTurns:
    """Reads what the later turns of a conversation need of its earlier ones."""

    def __init__(
        self, client: "DynamoDBClient", table: str, batches: DynamoBatches, *, limit_bytes: int
    ) -> None:
        self._client = client
        self._table = table
        self._batches = batches
        self._limit_bytes = limit_bytes

    def newest(
        self, tenant: str, session_id: str, *, newest: int | None, except_run: str | None
    ) -> list[PastTurn]:
        """Return the newest ended runs, the oldest of them first; see the port's `turns`."""
        turns: list[PastTurn] = []
        left, left_bytes = newest, self._limit_bytes
        # One more than wanted: the run that asks for its history is itself the newest.
        page_runs = PAGE_RUNS if newest is None else min(PAGE_RUNS, newest + 1)
        for keys in self._pages(tenant, session_id, page_runs):
            wanted = [key for key in keys if key.run_id != except_run]
            for turn in self._turns(self._ended(wanted)[:left]):
                turns.append(turn)
                left_bytes -= _size_bytes(turn)
                if left_bytes <= 0:
                    return turns[::-1]
            left = None if newest is None else newest - len(turns)
            if left == 0:
                break
        return turns[::-1]

    def _pages(self, tenant: str, session_id: str, page_runs: int) -> Iterator[list[RunKey]]:
        """Yield the session's runs page by page, the newest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :runs)",
            ExpressionAttributeValues={
                ":pk": {"S": session_pk(tenant, session_id)},
                ":runs": {"S": POINTER_PREFIX},
            },
            ScanIndexForward=False,
            ConsistentRead=True,
            PaginationConfig={"PageSize": page_runs},
        )
        with unavailable_when_failing():
            for page in pages:
                yield [RunKey(tenant=tenant, run_id=pointed_run_id(item)) for item in page["Items"]]

    def _ended(self, keys: Sequence[RunKey]) -> list[Item]:
        """Return the headers of those runs that have ended, in the order of the keys."""
        read = self._batches.read([*map(header_key, keys)], consistent=True)
        found = {item["pk"]["S"]: item for item in read}
        headers = [found[run_pk(key)] for key in keys if run_pk(key) in found]
        return [
            item
            for item in headers
            if not is_erased(item) and RunStatus(item["status"]["S"]).is_terminal
        ]

    def _turns(self, headers: Sequence[Item]) -> Iterator[PastTurn]:
        for group in _groups(headers):
            wanted = [key for header in group for key in _chunk_keys(header)]
            chunks = {
                (item["pk"]["S"], item["sk"]["S"]): bytes(item["text"]["B"])
                for item in self._batches.read(
                    [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in wanted], consistent=True
                )
                if "text" in item
            }
            for header in group:
                # Without all of its chunks it is being deleted at this moment.
                if all(key in chunks for key in _chunk_keys(header)):
                    yield _turn(header, chunks)


def _groups(headers: Sequence[Item]) -> Iterator[list[Item]]:
    """Put headers together whose chunks are to be read at once; each group has at least one."""
    group: list[Item] = []
    chunks = 0
    for header in headers:
        more = len(_chunk_keys(header))
        if group and chunks + more > CHUNKS_AT_ONCE:
            yield group
            group, chunks = [], 0
        group.append(header)
        chunks += more
    if group:
        yield group


def _chunk_keys(header: Item) -> list[tuple[str, str]]:
    """
    Name the chunks that a turn needs.

    Only those that the header counts: an executor that was fenced off may have left others.
    """
    return [(header["pk"]["S"], sk) for text in _TEXTS for sk in _sort_keys(header, text)]


def _sort_keys(header: Item, text: str) -> list[str]:
    stored = chunk_sks(header, text)
    return stored if text != "output" or _output_says_it_all(header) else stored[:1]


def _output_says_it_all(header: Item) -> bool:
    """Tell whether only the output holds the answer; else its first 4096 bytes will do."""
    has_messages = "messages" in header or bool(chunk_sks(header, "messages"))
    return header["status"]["S"] == RunStatus.COMPLETED and not has_messages


def _turn(header: Item, chunks: dict[tuple[str, str], bytes]) -> PastTurn:
    run = run_from_header(header)
    texts = {name: _text(header, name, chunks) for name in _TEXTS}
    return PastTurn(
        run_id=run.id,
        input=texts["input"] or "",
        output=texts["output"] or "",
        messages=texts["messages"],
        created_at=run.created_at,
        updated_at=run.completed_at or run.updated_at,
        is_whole=run.status is RunStatus.COMPLETED,
    )


def _text(header: Item, text: str, chunks: dict[tuple[str, str], bytes]) -> str | None:
    if text in header:
        return decompress(header[text]["B"])
    parts = [chunks[header["pk"]["S"], sort_key] for sort_key in _sort_keys(header, text)]
    if not parts:
        return None
    return from_chunks(parts) if text in WITH_PREVIEW else from_slices(parts)


def _size_bytes(turn: PastTurn) -> int:
    return sum(len(text.encode()) for text in (turn.input, turn.output, turn.messages or ""))
