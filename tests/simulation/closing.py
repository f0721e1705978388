"""The end of an example: faults stop, everything comes to rest, and promises are checked."""

import asyncio

from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import AgentrunError
from agentrun.domain.runs import AgentRun, RunStatus
from tests.simulation.callers import RUNS, Caller
from tests.simulation.exchange import ConnectionLostError, Frame, text_of
from tests.simulation.facts import RunFacts
from tests.simulation.functions import Site
from tests.simulation.ledger import GAP
from tests.simulation.scripts import TOKENS_A_STEP, Say, whole_text

RESTS_WITHIN_S = 1800.0
LEASES_S = 20.0


class Closing:
    """What has to hold once nothing goes wrong any more."""

    def __init__(self, site: Site, inspector: Caller) -> None:
        self._site = site
        self._world = site.world
        self._ledger = site.ledger
        self._caller = inspector

    async def look_back(self) -> None:
        """Wait until all runs have come to rest; then check everything that is left."""
        await asyncio.sleep(70)
        states = {}
        for run_id, facts in list(self._ledger.runs.items()):
            await self._rests(run_id, facts)
            # A run that is PAUSED again is looked at once more: it may have been cancelled.
            states[run_id] = await self._rests(run_id, facts)
        for run_id, facts in list(self._ledger.runs.items()):
            run = states[run_id]
            if facts.gone_at is not None and run is not None:
                self._ledger.breach("what_was_deleted_is_gone", f"{run_id} is {run.status}")
            if run is not None:
                self._ends_agree(run, facts)
                self._large_ends_get_through(run, facts)
                await self._replay_agrees(run, facts)
        for left in self._site.storage.left_without_end():
            self._ledger.breach("a_deletion_leaves_nothing", left)
        users = {facts.session: facts.user for facts in self._ledger.runs.values()}
        for session, user in (self._ledger.crowded | users).items():
            await Caller(self._site, user).look_into(session)
            await self._session_is_usable(session, user)

    def _of(self, facts: RunFacts) -> Caller:
        return Caller(self._site, facts.user)

    async def _rests(self, run_id: str, facts: RunFacts) -> AgentRun | None:
        """A run comes to an end."""
        give_up_at = self._world.now + RESTS_WITHIN_S
        while True:
            run = await self._of(facts).look(run_id)
            if run is None or run.status.is_terminal or run.status is RunStatus.PAUSED:
                return run
            if self._world.now > give_up_at:
                self._ledger.breach("no_run_goes_on_for_ever", f"{run_id} is {run.status}")
                return run
            await asyncio.sleep(5)

    def _large_ends_get_through(self, run: AgentRun, facts: RunFacts) -> None:
        """An end of any size is written if nothing else is in its way."""
        script = self._ledger.scripts[facts.message]
        is_large = len(whole_text(script)) > 1_000_000
        is_plain = len(facts.executors) == 1 and not self._world.weather.has_struck
        if is_large and is_plain and run.error_type == LEASE_EXPIRED:
            self._ledger.breach("a_large_end_gets_through", f"{run.id} is {run.status}")

    def _ends_agree(self, run: AgentRun, facts: RunFacts) -> None:
        """Every later reader is told the same end."""
        for told in facts.ends_told:
            if told.status is not run.status or told.completed_at != run.completed_at:
                detail = f"{run.id}: told {told.status}, is {run.status}"
                self._ledger.breach("an_end_that_was_told_stays", detail)
        header = self._ledger.header(facts.key)
        is_over = header is None or header.status.is_terminal
        if facts.cancelled_at is not None and not is_over:
            self._ledger.breach("a_cancelled_run_ends", f"{run.id} is {run.status}")

    async def _replay_agrees(self, run: AgentRun, facts: RunFacts) -> None:
        """A replay is complete and what live readers saw, except for what died with a process."""
        exchange = self._site.request("GET", f"{RUNS}/{run.id}/stream", user=facts.user)
        frames: list[Frame] = []
        try:
            if await exchange.head() != 200:
                self._is_gone_for_a_reason(run, exchange.status)
                return
            async for frame in exchange.frames():
                frames.append(frame)
                self._ledger.frame_read(run.id, frame)
        except ConnectionLostError:
            self._ledger.breach("a_replay_is_whole", f"{run.id} broke off in fine weather")
            return
        self._ledger.stream_read(run.id, 0, frames, "replay")
        # A pause may have run out since it was looked at.
        run = self._ledger.header(run.key) or run
        replayed = {frame.id for frame in frames}
        missing = [
            event_id
            for event_id in facts.meanings
            if event_id not in replayed and not _is_void(run, event_id)
        ]
        if missing:
            detail = f"{run.id}: {missing} were seen, the replay has {sorted(replayed)}"
            self._ledger.breach("a_replay_is_whole", detail)
        ends = {"COMPLETED": "STOP", "FAILED": "ERROR"}
        wanted = ends.get(run.status, str(run.status))
        if not frames or frames[-1].event != wanted:
            last = frames[-1] if frames else None
            self._ledger.breach("a_stream_ends_as_its_run", f"{run.id} {run.status}: {last}")
        if frames and frames[-1].id != run.last_event_id:
            self._ledger.breach("a_stream_ends_as_its_run", f"{run.id} ends at {frames[-1].id}")
        text = text_of(frames)
        whole = whole_text(self._ledger.scripts[facts.message])
        if run.status is RunStatus.COMPLETED and text != whole:
            self._ledger.breach("a_replay_is_whole", f"{run.id}: {text!r}, not {whole!r}")
        self._budget_holds(run, facts)

    def _budget_holds(self, run: AgentRun, facts: RunFacts) -> None:
        """A run spends what it may, and what its last step has cost at most."""
        limit = self._site.agent.budget.max_total_tokens
        spent = run.total_tokens or 0
        if limit is not None and not facts.has_more_budget and spent >= limit + TOKENS_A_STEP:
            self._ledger.breach("a_budget_holds", f"{run.id}: {spent} of {limit}")

    def _is_gone_for_a_reason(self, run: AgentRun, status: int | None) -> None:
        """Events last for a day after the end; a replay that cannot be complete is 404."""
        end = run.completed_at or run.updated_at
        age_h = (self._world.instant() - end).total_seconds() / 3600
        if status != 404 or (run.status.is_terminal and age_h < 23.9):
            self._ledger.breach("a_replay_is_there_for_a_day", f"{run.id}: {status} at {age_h} h")

    async def _session_is_usable(self, session: str, user: str) -> None:
        """Every session accepts a run again once the leases of dead runs are over."""
        caller = Caller(self._site, user)
        message = caller.new_message((Say("hello"),))
        give_up_at = self._world.now + LEASES_S
        while True:
            body = {"message": message, "sessionId": session}
            exchange = self._site.request("POST", RUNS, user=user, body=body)
            try:
                answer = await exchange.answer()
            except (ConnectionLostError, AgentrunError):
                answer = None
            if exchange.status == 200:
                return
            if self._world.now > give_up_at or exchange.status not in {409, 429}:
                detail = f"{session}: {exchange.status} {answer}"
                self._ledger.breach("a_session_is_usable_in_the_end", detail)
                return
            await asyncio.sleep(1)


def _is_void(run: AgentRun, event_id: int) -> bool:
    """Tell whether an event was said by an executor that was lost before it was stored."""
    return any(lost < event_id < lost + (len(run.lost_after) + 1) * GAP for lost in run.lost_after)
