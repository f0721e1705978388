"""How many readers at once: each reader of a run under way holds a place until it leaves."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from agentrun.domain.endings import lease_has_lapsed
from agentrun.domain.errors import StoreUnavailableError, TooManyRunsError
from agentrun.domain.ports import ReaderQuota
from agentrun.domain.quotas import RETRY_AFTER_S, ReaderPlace, user_tag
from agentrun.domain.runs import UNDER_WAY, AgentRun, RunKey
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.follow import RunFollower
from agentrun.service.reading.runs import MAX_BATCH

LONGEST_READING = timedelta(minutes=15)
"""Lambda's limit on an invocation, for those whose deadline is not known."""


class ReaderPlaces:
    """Hands out places to readers, as many for the runs of one user as a quota allows."""

    def __init__(self, quota: ReaderQuota, ports: RunPorts, new_id: Callable[[], str]) -> None:
        self._quota = quota
        self._ports = ports
        self._new_id = new_id

    async def admit(self, follower: RunFollower, *, deadline: datetime | None) -> RunFollower:
        """
        Take a place for a follower, which frees it when it has been read to the end or given up.

        A run that has ended, or is paused, is read in a moment: its readers need no place.

        Args:
            follower: A reader that has not begun to read.
            deadline: When the process will be stopped, if that is known.

        Returns:
            The same follower.

        Raises:
            TooManyRunsError: The user's runs have as many readers as they may.
            StoreUnavailableError: Retrying is safe.
        """
        if not self._quota.limit or not follower.is_under_way:
            return follower
        run = follower.run
        place = ReaderPlace(
            tenant=run.org_id,
            user=user_tag(run.user_id),
            run_id=run.id,
            reader_id=self._new_id()[:8],
            until=deadline or self._ports.clock.now() + LONGEST_READING,
        )
        await in_thread(self._ports.threads, self._take, place)

        async def leave() -> None:
            # If the store is not available, the place is free once the run has ended.
            with suppress(StoreUnavailableError):
                await in_thread(self._ports.threads, self._quota.release, [place])

        follower.when_left(leave)
        return follower

    def _take(self, place: ReaderPlace) -> None:
        holders = self._quota.take(place, at=self._ports.clock.now())
        if holders and (dead := self._dead_among(holders)):
            self._quota.release(dead)
            holders = self._quota.take(place, at=self._ports.clock.now())
        if holders:
            raise TooManyRunsError(
                f"A user's runs may have at most {self._quota.limit} readers at once.",
                retry_after_s=RETRY_AFTER_S,
            )

    def _dead_among(self, holders: Sequence[ReaderPlace]) -> list[ReaderPlace]:
        """Find places whose process has been stopped, or whose run is not under way any more."""
        now = self._ports.clock.now()
        expired = [place for place in holders if place.until < now]
        if expired:
            return expired[:MAX_BATCH]
        oldest = sorted(holders, key=lambda place: place.until)[:MAX_BATCH]
        keys = list(dict.fromkeys(_key(place) for place in oldest))
        found = self._ports.store.get_many(keys, with_text=False)
        return [place for place in oldest if not _is_under_way(found.get(_key(place)), now)]


def _key(place: ReaderPlace) -> RunKey:
    return RunKey(tenant=place.tenant, run_id=place.run_id)


def _is_under_way(run: AgentRun | None, now: datetime) -> bool:
    """Tell whether a run may still have readers that wait."""
    return run is not None and run.status in UNDER_WAY and not lease_has_lapsed(run, now)
