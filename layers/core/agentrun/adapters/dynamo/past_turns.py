"""The ended runs of a session, read newest first up to a bound."""

from collections.abc import Iterator, Mapping, Sequence

from agentrun.adapters.dynamo.headers import is_erased, run_from_header
from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    chunk_sks,
    header_key,
    place_of,
    pointed_run_id,
    run_pk,
)
from agentrun.adapters.dynamo.session_list import pointers_of
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.dynamo.texts import Place, read_chunks, text_of
from agentrun.domain.conversations import PastTurn
from agentrun.domain.runs import RunKey, RunStatus

PAGE_RUNS = 100
CHUNKS_AT_ONCE = 24
"""Of at most 350 KB each: half of what BatchGetItem answers at once, and not much read in vain."""
_TEXTS = ("input", "output", "messages")


class DynamoTurns:
    """Reads what the later turns of a conversation need of its earlier ones."""

    def __init__(self, table: Table, *, limit_bytes: int) -> None:
        self._table = table
        self._limit_bytes = limit_bytes

    def newest(
        self, tenant: str, session_id: str, *, newest: int | None, except_run: str | None
    ) -> list[PastTurn]:
        """Return the newest ended runs, the oldest of them first."""
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
        query = pointers_of(tenant, session_id, newest_first=True)
        for page in self._table.pages(query, page_size=page_runs):
            yield [RunKey(tenant=tenant, run_id=pointed_run_id(item)) for item in page]

    def _ended(self, keys: Sequence[RunKey]) -> list[Item]:
        """Return the headers of those runs that have ended, in the order of the keys."""
        read = self._table.items([*map(header_key, keys)], consistent=True)
        found = {place_of(item)[0]: item for item in read}
        headers = [found[run_pk(key)] for key in keys if run_pk(key) in found]
        return [
            item
            for item in headers
            if not is_erased(item) and RunStatus(item[Attribute.STATUS]["S"]).is_terminal
        ]

    def _turns(self, headers: Sequence[Item]) -> Iterator[PastTurn]:
        for group in _groups(headers):
            places = [place for header in group for place in _places(header)]
            chunks = read_chunks(self._table, places)
            for header in group:
                # Without all of its chunks it is being deleted at this moment.
                if all(place in chunks for place in _places(header)):
                    yield _turn(header, chunks)


def _groups(headers: Sequence[Item]) -> Iterator[list[Item]]:
    """Put headers together whose chunks are to be read at once; each group has at least one."""
    group: list[Item] = []
    chunks = 0
    for header in headers:
        more = len(_places(header))
        if group and chunks + more > CHUNKS_AT_ONCE:
            yield group
            group, chunks = [], 0
        group.append(header)
        chunks += more
    if group:
        yield group


def _places(header: Item) -> list[Place]:
    """
    Name the chunks that a turn needs.

    Only those that the header counts: an executor that was fenced off may have left others.
    """
    return [(place_of(header)[0], sk) for text in _TEXTS for sk in _sort_keys(header, text)]


def _sort_keys(header: Item, text: str) -> list[str]:
    stored = chunk_sks(header, text)
    return stored if text != "output" or _output_says_it_all(header) else stored[:1]


def _output_says_it_all(header: Item) -> bool:
    """Tell whether only the output holds the answer; else its first 4096 bytes will do."""
    has_messages = "messages" in header or bool(chunk_sks(header, "messages"))
    return header[Attribute.STATUS]["S"] == RunStatus.COMPLETED and not has_messages


def _turn(header: Item, chunks: Mapping[Place, bytes]) -> PastTurn:
    run = run_from_header(header)
    texts = {name: text_of(header, name, _sort_keys(header, name), chunks) for name in _TEXTS}
    return PastTurn(
        run_id=run.id,
        input=texts["input"] or "",
        output=texts["output"] or "",
        messages=texts["messages"],
        created_at=run.created_at,
        updated_at=run.completed_at or run.updated_at,
        is_whole=run.status is RunStatus.COMPLETED,
    )


def _size_bytes(turn: PastTurn) -> int:
    return sum(len(text.encode()) for text in (turn.input, turn.output, turn.messages or ""))
