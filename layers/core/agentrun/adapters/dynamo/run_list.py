"""
Lists of runs in DynamoDB: by the index `sessions`, a session's pointers, and the tenant's slots.

A session's pointer to a run stands in the index as one of its user's runs; that entry is written
with the run and costs one write unit. A header is in the index from the run's first pause until its
end, among those of its tenant: each user's together, so that a user's can be read alone. The runs
that are executed, or wait to be, are found by their slots.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice

from agentrun.adapters.dynamo.items import (
    POINTERS,
    SESSIONS_INDEX,
    Attribute,
    Item,
    Values,
    pauses_key,
    quota_key,
    run_list_key,
    session_pk,
    string,
)
from agentrun.adapters.dynamo.quotas.run_quota import slots_of
from agentrun.adapters.dynamo.table import Query, Table
from agentrun.domain.lists.run_lists import ListedPause, ListedRun, position_of_run
from agentrun.domain.quotas import user_tag
from agentrun.domain.runs import AgentRun
from agentrun.domain.value import iso_milliseconds


class DynamoRunList:
    """The port `RunList` on the project's table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of_user(
        self, tenant: str, user_id: str, *, before: str | None, at_most: int
    ) -> Sequence[ListedRun]:
        """Return a user's runs, the newest first."""
        condition = f"{Attribute.LIST} = :list"
        values = {":list": string(run_list_key(tenant, user_id))}
        if before is not None:
            condition += f" AND {Attribute.POSITION} < :before"
            values[":before"] = string(before)
        query = Query(condition, values, index=SESSIONS_INDEX, newest_first=True, consistent=False)
        return [_listed(entry[Attribute.POSITION]["S"]) for entry in self._first(query, at_most)]

    def of_session(
        self, tenant: str, session_id: str, *, before: str | None, at_most: int
    ) -> Sequence[ListedRun]:
        """Return a session's runs, the newest first."""
        # Both bounds of BETWEEN belong to it; one more is read for the upper one.
        last = f"{POINTERS}{before}" if before is not None else f"{POINTERS}~"
        query = Query(
            f"{Attribute.PK} = :pk AND {Attribute.SK} BETWEEN :first AND :last",
            {
                ":pk": string(session_pk(tenant, session_id)),
                ":first": string(POINTERS),
                ":last": string(last),
            },
            only=Attribute.SK,
            newest_first=True,
        )
        positions = (
            pointer[Attribute.SK]["S"].removeprefix(POINTERS)
            for pointer in self._first(query, at_most + 1)
        )
        found = (ListedRun(position) for position in positions if position != before)
        return [*islice(found, at_most)]

    def active(self, tenant: str, *, user_id: str | None) -> Collection[str]:
        """Return the runs that hold slots, and those that may be paused."""
        held = slots_of(self._table.item(quota_key(tenant)), tenant)
        tag = None if user_id is None else user_tag(user_id)
        slots = {slot.run_id for slot in held if tag in {None, slot.user}}
        return slots | {pause.run_id for pause in self.pauses(tenant, user_id=user_id)}

    def pauses(self, tenant: str, *, user_id: str | None) -> Sequence[ListedPause]:
        """Return the runs that may be paused, the oldest pause first."""
        condition, values = f"{Attribute.LIST} = :list", {":list": string(pauses_key(tenant))}
        if user_id is not None:
            condition += f" AND begins_with({Attribute.POSITION}, :user)"
            values[":user"] = string(f"{user_tag(user_id)}#")
        query = Query(condition, values, index=SESSIONS_INDEX, consistent=False)
        found = (_pause(entry) for page in self._table.pages(query) for entry in page)
        return sorted(found, key=lambda pause: pause.position)

    def _first(self, query: Query, count: int) -> Iterator[Item]:
        pages = self._table.pages(query, page_size=count)
        return islice((item for page in pages for item in page), count)


def _listed(position: str) -> ListedRun:
    created_at, run_id, agent_id = position.split("#")
    return ListedRun(f"{created_at}#{run_id}", agent_id)


def run_entry(run: AgentRun) -> Values:
    """Return what a pointer has to have to stand among its user's runs."""
    return {
        Attribute.LIST: string(run_list_key(run.org_id, run.user_id)),
        Attribute.POSITION: string(f"{position_of_run(run)}#{run.agent_id}"),
    }


def pause_entry(run: AgentRun, at: datetime) -> Values:
    """Return what a header has to have to stand among its tenant's pauses."""
    position = f"{user_tag(run.user_id)}#{iso_milliseconds(at)}#{run.id}"
    return {
        Attribute.LIST: string(pauses_key(run.org_id)),
        Attribute.POSITION: string(position),
    }


def _pause(entry: Item) -> ListedPause:
    _, paused_at, run_id = entry[Attribute.POSITION]["S"].split("#")
    return ListedPause(datetime.fromisoformat(paused_at), run_id)
