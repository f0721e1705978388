"""List runs without knowing their ids: a caller's own, and what a tenant has under way."""

from collections.abc import Iterator
from heapq import merge
from itertools import groupby, islice

from agentrun.domain.errors import ForbiddenError
from agentrun.domain.lists.cursors import cursor_at, position_of
from agentrun.domain.lists.run_lists import ACTIVE, ListedRun, RunFilter, RunPage, position_of_run
from agentrun.domain.ports import RunList
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.service.ports import RunPorts
from agentrun.service.reading.runs import MAX_BATCH, check_may_read, get_runs, read_many

MAX_ENTRIES = 2_000
"""How many entries of a list one page may cost; beyond that, it is short and says where it ends."""
MAX_READ = 500
"""The same of runs, which cost more."""


def list_runs(
    principal: Principal,
    *,
    user_id: str | None,
    wanted: RunFilter,
    size: int,
    cursor: str | None,
    runs: RunList,
    ports: RunPorts,
) -> RunPage:
    """
    Return a page of runs, the newest first, their texts cut to 4096 bytes each.

    A caller sees their own runs. An admin sees all of the tenant's that have not ended besides, or
    all of one user. A page of a list of which few runs are wanted may be short, even empty, and
    still have a cursor.

    Args:
        principal: The verified caller.
        user_id: Whose runs, if not the caller's; None: what the caller sees by default.
        wanted: Which of them.
        size: How many at most, 1 to 100.
        cursor: From an earlier page of the same list.
        runs: What finds them.
        ports: Where they are, and the time.

    Raises:
        ForbiddenError: The token lacks the scope, or the runs are another user's.
        InvalidRequestError: The cursor is not one of this list.
        StoreUnavailableError: Retrying is safe.
    """
    check_may_read(principal)
    if not principal.may_see(user_id or principal.user_id):
        raise ForbiddenError("Listing another user's runs needs the role admin.")
    search = _Search(principal, user_id, wanted, runs, ports)
    before = position_of(search.key, cursor, of="these runs") if cursor else None
    found, last = search.first(size + 1, before)
    if len(found) > size:
        last = position_of_run(found[size - 1])
    return RunPage(found[:size], None if last is None else cursor_at(search.key, last))


class _Search:
    """What one caller looks for."""

    def __init__(
        self,
        principal: Principal,
        user_id: str | None,
        wanted: RunFilter,
        runs: RunList,
        ports: RunPorts,
    ) -> None:
        self._principal = principal
        self._tenant = principal.tenant
        self._owner = user_id or principal.user_id
        self._everybodys = principal.is_admin and user_id is None
        self._wanted = wanted
        self._runs = runs
        self._ports = ports

    @property
    def key(self) -> str:
        """Name the list, for its cursors."""
        whose = "" if self._everybodys else f"\0{self._owner}"
        return f"runs\0{self._tenant}{whose}"

    def first(self, count: int, before: str | None) -> tuple[list[AgentRun], str | None]:
        """
        Find the first runs behind a position.

        Returns:
            The runs; and how far the list was looked at, or None if that was its end.
        """
        found: list[AgentRun] = []
        entries, looked, read = self._entries(before, count), 0, 0
        last = None
        while len(found) < count and looked < MAX_ENTRIES and read < MAX_READ:
            at_once = MAX_BATCH if self._is_selective else count - len(found)
            chunk = [*islice(entries, min(at_once, MAX_READ - read))]
            if not chunk:
                return found, None
            ids = [entry.run_id for entry in chunk if self._may_be_wanted(entry)]
            found += self._read(ids)
            looked, read, last = looked + len(chunk), read + len(ids), chunk[-1].position
        return found, last

    @property
    def _is_selective(self) -> bool:
        return self._wanted != RunFilter()

    def _may_be_wanted(self, entry: ListedRun) -> bool:
        return entry.agent_id is None or self._wanted.agent_id in {None, entry.agent_id}

    def _read(self, ids: list[str]) -> list[AgentRun]:
        read = get_runs(self._principal, None, ids, with_text=True, ports=self._ports)
        return [run for run in read if self._wanted.has(run) and self._is_listed(run)]

    def _is_listed(self, run: AgentRun) -> bool:
        return run.user_id == self._owner or (self._everybodys and run.status in ACTIVE)

    def _entries(self, before: str | None, count: int) -> Iterator[ListedRun]:
        """Yield entries that may be wanted, the newest first, and each once."""
        sources: list[Iterator[ListedRun]] = []
        status = self._wanted.status
        if status in ACTIVE or (self._everybodys and status is None):
            sources.append(self._active(before))
        if status not in ACTIVE:
            sources.append(self._all(before, count))
        merged = merge(*sources, key=lambda entry: entry.position, reverse=True)
        return (next(same) for _, same in groupby(merged, lambda entry: entry.position))

    def _active(self, before: str | None) -> Iterator[ListedRun]:
        """
        Return the runs that have not ended, whenever they began.

        What finds them does not know when they began, and they are few.
        """
        owner = None if self._everybodys else self._owner
        ids = self._runs.active(self._tenant, user_id=owner)
        keys = [RunKey(tenant=self._tenant, run_id=run_id) for run_id in ids]
        states = read_many(keys, with_text=False, consistent=False, ports=self._ports)
        entries = (
            ListedRun(position_of_run(run), run.agent_id)
            for run in states.values()
            if not run.status.is_terminal
        )
        behind = [entry for entry in entries if before is None or entry.position < before]
        return iter(sorted(behind, key=lambda entry: entry.position, reverse=True))

    def _all(self, before: str | None, count: int) -> Iterator[ListedRun]:
        """Yield all runs of the owner, or of the session, page by page."""
        at_most = MAX_BATCH if self._is_selective else count
        while True:
            if self._wanted.session_id is None:
                page = self._runs.of_user(self._tenant, self._owner, before=before, at_most=at_most)
            else:
                session = self._wanted.session_id
                page = self._runs.of_session(self._tenant, session, before=before, at_most=at_most)
            yield from page
            if len(page) < at_most:
                return
            before = page[-1].position
