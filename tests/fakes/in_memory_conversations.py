"""Conversations on the dictionaries of an `InMemoryRunStore`."""

from collections.abc import Sequence
from datetime import datetime

from agentrun.domain.conversations import FREE, PastTurn, Session, SessionLock, SessionPage
from agentrun.domain.errors import SessionNotFoundError
from agentrun.domain.lists.cursors import cursor_at, position_of
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.domain.value import iso_milliseconds
from tests.fakes.hooks import Hookable
from tests.fakes.in_memory_store import InMemoryRunStore


class InMemoryConversations(Hookable):
    """The port `ConversationStore` for the runs of one `InMemoryRunStore`."""

    def __init__(self, store: InMemoryRunStore) -> None:
        self._store = store

    def lock(self, tenant: str, session_id: str) -> SessionLock:
        stored = self._store.sessions.get((tenant, session_id))
        return FREE if stored is None else stored.lock

    def turns(
        self, tenant: str, session_id: str, *, newest: int | None, except_run: str | None = None
    ) -> Sequence[PastTurn]:
        runs = [run for run in self._runs(tenant, session_id) if run.id != except_run]
        turns = [self._turn(run) for run in runs if run.status.is_terminal]
        return turns if newest is None else turns[max(0, len(turns) - newest) :]

    def _turn(self, run: AgentRun) -> PastTurn:
        return PastTurn(
            run_id=run.id,
            input=run.input or "",
            output=run.output or "",
            messages=self._store.messages.get(run.key),
            created_at=run.created_at,
            updated_at=run.completed_at or run.updated_at,
            is_whole=run.status is RunStatus.COMPLETED,
        )

    def session(self, tenant: str, session_id: str) -> Session:
        stored = self._store.sessions.get((tenant, session_id))
        if stored is None:
            raise SessionNotFoundError(session_id)
        return Session(
            id=session_id,
            agent_id=stored.agent_id,
            user_id=stored.user_id,
            title=stored.title,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
        )

    def sessions(
        self,
        tenant: str,
        user_id: str,
        *,
        agent_id: str | None,
        size: int,
        skip: int = 0,
        cursor: str | None = None,
    ) -> SessionPage:
        list_key = f"{tenant}#{user_id}"
        before = position_of(list_key, cursor) if cursor is not None else None
        listed = {_position(session): session for session in self._listed(tenant, user_id)}
        wanted = [
            (position, session)
            for position, session in sorted(listed.items(), reverse=True)
            if agent_id in {None, session.agent_id}
        ]
        behind = [entry for entry in wanted if before is None or entry[0] < before]
        found = behind[skip:]
        return SessionPage(
            sessions=tuple(session for _, session in found[:size]),
            total=len(wanted),
            next_cursor=cursor_at(list_key, found[size - 1][0]) if len(found) > size else None,
        )

    def _listed(self, tenant: str, user_id: str) -> list[Session]:
        ids = [session_id for org_id, session_id in self._store.sessions if org_id == tenant]
        sessions = [self.session(tenant, session_id) for session_id in ids]
        return [session for session in sessions if session.user_id == user_id]

    def run_keys(self, tenant: str, session_id: str) -> Sequence[RunKey]:
        return [run.key for run in self._runs(tenant, session_id)]

    def runs_of_request(
        self,
        tenant: str,
        user_id: str,
        request: RunRequest,
        *,
        agent_id: str,
        fingerprint: str,
        since: datetime,
    ) -> Sequence[AgentRun]:
        found = [
            self._store.get_state(key)
            for key, stored in self._store.fingerprints.items()
            if stored == fingerprint and key.tenant == tenant and key in self._store.runs
        ]
        mine = [
            run
            for run in found
            if (run.user_id, run.agent_id) == (user_id, agent_id) and run.created_at >= since
        ]
        return sorted(mine, key=lambda run: (run.created_at, run.id), reverse=True)

    def delete(self, tenant: str, session_id: str) -> None:
        if (tenant, session_id) not in self._store.sessions:
            raise SessionNotFoundError(session_id)
        for key in self.run_keys(tenant, session_id):
            del self._store.runs[key]
            self._store.erased.add(key)
            self._store.messages.pop(key, None)
            self._store.checkpoints.pop(key, None)
            self._store.log.segments.pop(key, None)
        del self._store.sessions[tenant, session_id]

    def _runs(self, tenant: str, session_id: str) -> list[AgentRun]:
        runs = self._store.runs.values()
        mine = [run for run in runs if (run.org_id, run.session_id) == (tenant, session_id)]
        return sorted(mine, key=lambda run: (run.created_at, run.id))


def _position(session: Session) -> str:
    return f"{iso_milliseconds(session.updated_at)}#{session.id}"
