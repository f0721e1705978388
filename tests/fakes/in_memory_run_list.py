"""Lists of runs on the dictionaries of an `InMemoryRunStore`."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from agentrun.domain.lists.run_lists import ACTIVE, ListedPause, ListedRun, position_of_run
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from tests.fakes.hooks import Hookable
from tests.fakes.in_memory_store import InMemoryRunStore


class InMemoryRunList(Hookable):
    """The port `RunList`; it is never late."""

    def __init__(self, store: InMemoryRunStore) -> None:
        self._store = store
        self._paused_at: dict[tuple[RunKey, int | None], datetime] = {}

    def of_user(
        self, tenant: str, user_id: str, *, before: str | None, at_most: int
    ) -> Sequence[ListedRun]:
        return self._listed(
            lambda run: (run.org_id, run.user_id) == (tenant, user_id), before, at_most
        )

    def of_session(
        self, tenant: str, session_id: str, *, before: str | None, at_most: int
    ) -> Sequence[ListedRun]:
        return self._listed(
            lambda run: (run.org_id, run.session_id) == (tenant, session_id), before, at_most
        )

    def active(self, tenant: str, *, user_id: str | None) -> Collection[str]:
        return {run.id for run in self._of(tenant, user_id) if run.status in ACTIVE}

    def pauses(self, tenant: str, *, user_id: str | None) -> Sequence[ListedPause]:
        paused = [run for run in self._of(tenant, user_id) if run.status is RunStatus.PAUSED]
        # A run that is paused again has been PAUSED since the pause's beginning.
        found = [
            ListedPause(
                self._paused_at.setdefault((run.key, run.paused_event_id), run.updated_at), run.id
            )
            for run in paused
        ]
        return sorted(found, key=lambda pause: pause.position)

    def _of(self, tenant: str, user_id: str | None) -> list[AgentRun]:
        runs = [run for run in self._store.runs.values() if run.org_id == tenant]
        return [run for run in runs if user_id in {None, run.user_id}]

    def _listed(
        self, wanted: Callable[[AgentRun], bool], before: str | None, at_most: int
    ) -> list[ListedRun]:
        runs = [run for run in self._store.runs.values() if wanted(run)]
        listed = [ListedRun(position_of_run(run), run.agent_id) for run in runs]
        behind = [run for run in listed if before is None or run.position < before]
        return sorted(behind, key=lambda run: run.position, reverse=True)[:at_most]
