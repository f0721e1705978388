"""Everything seen in one example: calls, effects, answers and broken promises."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentrun.domain.agents import Replay
from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.events import PauseType
from agentrun.domain.ports import AgentTask, RunStore
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.worker import WAITING
from tests.simulation.exchange import Frame
from tests.simulation.facts import HasMoments, RunFacts, content_of
from tests.simulation.gateways import StoreCall
from tests.simulation.scripts import Step, replay_of, whole_text
from tests.simulation.world import World

LEASE_S = 15.0
CANCEL_SEEN_S = 20.0
"""A heartbeat that succeeds shows a cancel; if none does, the lease is over by then."""
CANCELLED_WITHIN_S = 3.0
STORE_CALLS_OF_A_CANCEL = 4
"""A write under way, the heartbeat, the last segment, and the end."""
LEASE_MAKERS = {"start", "resume", "heartbeat", "begin_continuation", "write", "take_over"}
BEATS = {"heartbeat", "begin_continuation", "write", "take_over"}
READS = {"get", "get_state", "read", "get_many", "steps", "request"}
ENDS = {"STOP", "ERROR", "PAUSED", "CANCELLED"}
BEGIN_AFTER_GAPS = {"START", "ERROR", "CANCELLED"}
"""What may be the first event after an executor was lost."""
GAP = 1_000_000


@dataclass
class Ledger:
    """Note what happens, and check at once what can be checked at once."""

    world: World
    truth: RunStore
    scripts: dict[str, Sequence[Step]] = field(default_factory=dict)
    runs: dict[str, RunFacts] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)
    signs_of_life: dict[str, float] = field(default_factory=dict)
    cancels_seen: dict[str, tuple[Any, int]] = field(default_factory=dict)
    turns_begun: dict[str, str] = field(default_factory=dict)
    by_key: dict[tuple[str, str], str] = field(default_factory=dict)
    loops: dict[str, Any] = field(default_factory=dict)
    limit: int = 0
    """How many runs of one user may execute at once; 0 means any number."""
    deletions: set[str] = field(default_factory=set)
    """The sessions that somebody has wanted to delete."""
    crowded: dict[str, str] = field(default_factory=dict)
    """The sessions that were filled with the dead, and whose they are."""

    def breach(self, promise: Callable[..., object] | str, detail: str) -> None:
        """Note a broken promise."""
        name = promise if isinstance(promise, str) else promise.__name__
        self.world.note("PROMISE", f"{name}: {detail}")
        self.broken.append((name, detail))

    def header(self, key: RunKey) -> AgentRun | None:
        """Look into the store itself."""
        try:
            return self.truth.get_state(key)
        except RunNotFoundError:
            return None

    def facts_of(self, key: RunKey) -> RunFacts:
        """Return what is known of a run; the process that has stored it may not know that."""
        if key.run_id not in self.runs:
            run = self.truth.get(key)
            self.runs[run.id] = RunFacts(key, run.session_id, run.user_id, str(run.input))
        return self.runs[key.run_id]

    # What stores see.

    def applying(self, call: StoreCall) -> None:
        key = call.key
        if key is not None and call.method not in READS:
            call.notes["before"] = self.header(key)

    def applied(self, call: StoreCall, result: Any) -> None:
        if call.method == "start":
            self._started(call, result)
        if call.method == "take_over":
            self._taken_over(call, result)
        if call.method == "hand_over":
            self.facts_of(call.args[0]).handed_over += 1
        if call.method == "begin_continuation":
            self._consented(call)
        if call.method in LEASE_MAKERS:
            executor = call.executor
            if executor is not None:
                at = max(call.called_at, self.signs_of_life.get(executor, 0.0))
                self.signs_of_life[executor] = at
        key = call.key
        if key is not None and "before" in call.notes and call.method != "start":
            self.a_run_ends_once(call, call.notes["before"], self.header(key))

    def returned(self, call: StoreCall, result: Any) -> None:
        if call.method == "start" and result == call.args[0].id:
            self.runs[result].is_started = True
        is_beat = call.method in BEATS
        if is_beat and isinstance(result, AgentRun) and result.cancel_requested:
            loop = self.loops.get(call.process)
            executor = call.executor
            if loop is not None and executor is not None and executor not in self.cancels_seen:
                self.cancels_seen[executor] = (loop, loop.idles)

    def _started(self, call: StoreCall, result: Any) -> None:
        run: AgentRun = call.args[0]
        if result == run.id and run.id not in self.runs:
            message = call.args[1].message
            self.runs[run.id] = RunFacts(run.key, run.session_id, run.user_id, message)
        elif result == run.id and call.notes.get("before") is None:
            # A start that arrives after the deletion of what its next try has stored.
            self.runs[run.id].gone_at = None
        if result == run.id and not self.world.is_late:
            worker = call.notes.get("worker")
            header = worker.header if worker is not None else self.header(run.key)
            self.start_is_said_of_a_stored_run(run, header)
        claim = call.args[2] if len(call.args) > 2 else call.kwargs.get("claim")
        if claim is not None:
            self.a_key_is_one_run(claim.key_hash, claim.fingerprint, str(result))

    def _taken_over(self, call: StoreCall, taken: AgentRun) -> None:
        seen: AgentRun = call.args[0]
        if not seen.is_handed_over:
            self.a_lease_lapses_in_silence_only(seen)
        self.attempts_are_limited(seen, taken)
        facts = self.facts_of(seen.key)
        if taken.attempt > seen.attempt:
            facts.losses += 1

    def _consented(self, call: StoreCall) -> None:
        """Note for which calls in doubt somebody has said that they are to run again."""
        before: AgentRun | None = call.notes.get("before")
        action, step = before.required_action if before else None, call.kwargs["step"]
        if action is None or action.type is not PauseType.TOOL_IN_DOUBT:
            return
        facts = self.runs[call.args[0].run_id]
        for call_id in step.content.acting:
            facts.consents.setdefault(call_id, set()).add(action.approval_id)

    # Promises that stores show.

    def a_run_ends_once(
        self, call: StoreCall, before: AgentRun | None, after: AgentRun | None
    ) -> None:
        """A terminal state never changes."""
        if after is not None:
            self.a_cancel_stays(call, after)
        if before is None or after is None:
            return
        if before.status.is_terminal and content_of(before) != content_of(after):
            self.breach(self.a_run_ends_once, f"{call.method} of {call.process}: {after}")
        if before.error_type != after.error_type == LEASE_EXPIRED:
            self.a_lease_lapses_in_silence_only(after)
        if before.status is RunStatus.RUNNING and after.status.is_terminal:
            self.a_cancelled_run_ends_soon(after)

    def a_lease_lapses_in_silence_only(self, run: AgentRun) -> None:
        """No run is taken for dead within its lease."""
        executor = run.lease.executor if run.lease else ""
        if executor.startswith(WAITING):
            return
        silent_s = self.world.now - self.signs_of_life.get(executor, -LEASE_S)
        if silent_s < LEASE_S:
            detail = f"{run.id} of {executor} after {silent_s:.3f} s"
            self.breach(self.a_lease_lapses_in_silence_only, detail)

    def attempts_are_limited(self, seen: AgentRun, taken: AgentRun) -> None:
        """A run that has begun is executed as often as its agent says, hand-overs aside."""
        has_begun = seen.status is RunStatus.RUNNING
        if has_begun and taken.attempt > max(seen.attempt, taken.max_attempts):
            self.breach(self.attempts_are_limited, f"{seen.id}: attempt {taken.attempt}")

    def a_cancelled_run_ends_soon(self, run: AgentRun) -> None:
        """If nothing goes wrong, a cancel ends a run within its time, plus that of the stores."""
        facts, weather = self.runs.get(run.id), self.world.weather
        if facts is None or facts.cancelled_at is None:
            return
        if weather.has_struck or "flood" in weather.counts:
            # A partition that is throttled takes an end when it can.
            return
        took_s = self.world.now - facts.cancelled_at
        if took_s > CANCELLED_WITHIN_S + STORE_CALLS_OF_A_CANCEL * weather.longest_call_s:
            self.breach(self.a_cancelled_run_ends_soon, f"{run.id} after {took_s:.3f} s")

    def start_is_said_of_a_stored_run(self, run: AgentRun, header: AgentRun | None) -> None:
        """A process that learns that it stored a run finds it there, alive, and its own."""
        if header is None or header.status.is_terminal:
            status = header.status if header else "not there"
            self.breach(self.start_is_said_of_a_stored_run, f"{run.id} is {status}")

    def a_key_is_one_run(self, key_hash: str, fingerprint: str, run_id: str) -> None:
        """One key leads to one run."""
        first = self.by_key.setdefault((key_hash, fingerprint), run_id)
        if first != run_id:
            self.breach(self.a_key_is_one_run, f"{first} and {run_id}")

    def a_cancel_stays(self, call: StoreCall, after: AgentRun) -> None:
        """A run whose cancel was acknowledged has ended, or says that it is to be cancelled."""
        facts = self.runs.get(after.id)
        if facts is None or facts.cancelled_at is None or call.called_at < facts.cancelled_at:
            return
        if not after.status.is_terminal and not after.cancel_requested:
            detail = f"{call.method} of {call.process}: {after.id} is {after.status}"
            self.breach(self.a_cancel_stays, detail)

    # What engines do.

    def turn_begins(self, task: AgentTask, executor: str, process: str) -> None:
        self.world.note(process, f"turn of {task.run_id} begins by {executor}")
        if executor in self.turns_begun:
            self.breach("an_executor_executes_once", executor)
        self.turns_begun[executor] = task.run_id
        self.runs[task.run_id].executors.append(executor)
        self.no_more_runs_than_allowed(self.runs[task.run_id].user)
        self._cancel_is_heeded(
            task.run_id, executor, "a turn", is_first=task.resumption is not None
        )

    def no_more_runs_than_allowed(self, user: str) -> None:
        """No more runs of a user execute at once than the limit allows."""
        headers = [self.header(facts.key) for facts in self.runs.values() if facts.user == user]
        running = [
            header.id
            for header in headers
            if header is not None
            and header.status is RunStatus.RUNNING
            and header.lease is not None
            and header.lease.executor in self.turns_begun
        ]
        if self.limit and len(running) > self.limit:
            self.breach(self.no_more_runs_than_allowed, f"{user} has {', '.join(running)}")

    def tool_begins(self, task: AgentTask, executor: str, call: str, process: HasMoments) -> None:
        self.world.note(process.name, f"tool {call} of {task.run_id} begins by {executor}")
        header = self.header(self.runs[task.run_id].key)
        self.a_tool_begins_under_its_executor(task.run_id, executor, header)
        if header is not None:
            self.one_run_acts_in_a_session(task.run_id)
        self.a_call_acts_as_its_tool_may(task, executor, call)
        self._cancel_is_heeded(task.run_id, executor, f"the tool {call}")

    def a_call_acts_as_its_tool_may(self, task: AgentTask, executor: str, call: str) -> None:
        """No executor acts twice; after a loss only a call that may, or that somebody lets."""
        facts = self.runs[task.run_id]
        acts = facts.acts.setdefault(call, [])
        acts.append(executor)
        replay = replay_of(self.scripts[task.message], call)
        may_act = 1 + len(facts.consents.get(call, ()))
        is_too_often = replay is Replay.NEVER and len(acts) > may_act
        if is_too_often or len(set(acts)) < len(acts):
            self.breach(self.a_call_acts_as_its_tool_may, f"{replay} {call} by {', '.join(acts)}")

    def a_tool_begins_under_its_executor(
        self, run_id: str, executor: str, header: AgentRun | None
    ) -> None:
        """Every effect of a tool begins while the header says RUNNING by that executor."""
        if header is None:
            # Deleted: its executor learns that as it learns of a cancel.
            gone_at = self.runs[run_id].gone_at or self.world.now
            if self.world.now - gone_at > CANCEL_SEEN_S:
                self.breach(self.a_tool_begins_under_its_executor, f"{run_id} was deleted")
            return
        owner = header.lease.executor if header.lease else None
        if header.status is not RunStatus.RUNNING or owner != executor:
            detail = f"{run_id} by {executor}, while {header.status} {header.error_type} by {owner}"
            self.breach(self.a_tool_begins_under_its_executor, detail)

    def one_run_acts_in_a_session(self, run_id: str) -> None:
        """One run at a time acts in a session."""
        session = self.runs[run_id].session
        for other in self.runs.values():
            if other.session == session and other.key.run_id != run_id:
                header = self.header(other.key)
                if header is not None and header.status is RunStatus.RUNNING:
                    detail = f"{run_id} acts while {other.key.run_id} is RUNNING"
                    self.breach(self.one_run_acts_in_a_session, detail)

    def _cancel_is_heeded(
        self, run_id: str, executor: str, what: str, *, is_first: bool = False
    ) -> None:
        """`is_first`: nothing of the execution can have been under way as it saw the cancel."""
        seen = self.cancels_seen.get(executor)
        if seen is not None and (is_first or seen[0].idles > seen[1]):
            self.breach(self.a_cancel_that_was_seen_is_heeded, f"{what} of {run_id} begins")
        asked_at = self.runs[run_id].cancelled_at
        if what != "a turn" and asked_at is not None and self.world.now - asked_at > CANCEL_SEEN_S:
            self.breach(self.a_cancel_that_was_seen_is_heeded, f"{what} of {run_id} begins late")

    def a_cancel_that_was_seen_is_heeded(self) -> None:
        """An executor that has seen a cancel begins nothing further."""

    # What callers see.

    def request_ends(self, process: str, what: str, under_way: Sequence[str]) -> None:
        """Once a request has been answered, nothing of it goes on without an invocation."""
        self.world.note(process, f"end of {what}")
        if under_way:
            detail = f"{what} leaves {', '.join(under_way)}"
            self.breach("an_answered_request_leaves_nothing_behind", detail)

    def frame_read(self, run_id: str, frame: Frame) -> None:
        """An event id has one meaning for all readers."""
        facts = self.runs.get(run_id)
        if facts is None:
            return
        meaning = (frame.event, frame.data, frame.timestamp)
        first = facts.meanings.setdefault(frame.id, meaning)
        if first != meaning:
            detail = f"{run_id} event {frame.id}: {first} and {meaning}"
            self.breach("an_event_id_has_one_meaning", detail)

    def state_read(self, run: AgentRun, *, with_text: bool, source: str, asked_at: float) -> None:
        """What is reported of a version of a run never changes."""
        facts = self.runs.get(run.id)
        if facts is None:
            return
        if facts.gone_at is not None and asked_at > facts.gone_at:
            self.breach("what_was_deleted_is_gone", f"{source} shows {run.id}")
        told = content_of(run)
        first = facts.versions.setdefault(run.version, told)
        if first != told:
            self.breach("a_state_that_was_told_stays", f"{source}: {first} and {told}")
        if run.status.is_terminal:
            facts.ends_told.append(run)
        if with_text and not run.output_truncated:
            self.a_text_belongs_to_its_state(run, facts, source)

    def a_text_belongs_to_its_state(self, run: AgentRun, facts: RunFacts, source: str) -> None:
        """A state is told with its own texts: COMPLETED with the whole answer."""
        output = run.output or ""
        first = facts.texts.setdefault(run.version, output)
        whole = whole_text(self.scripts[facts.message])
        is_whole = run.status is not RunStatus.COMPLETED or output == whole
        if first != output or not is_whole or not whole.startswith(output):
            detail = f"{source}: {run.id} {run.status} with {output!r}, {first!r}, {whole!r}"
            self.breach(self.a_text_belongs_to_its_state, detail)

    def stream_read(self, run_id: str, cursor: int, frames: Sequence[Frame], source: str) -> None:
        """A stream continues after its cursor without a hole, except for the gap before a lapse."""
        last = cursor
        for frame in frames:
            is_gap = frame.event in BEGIN_AFTER_GAPS and frame.id > max(last, GAP)
            if frame.id != last + 1 and not is_gap:
                detail = f"{source} of {run_id}: {frame.event} {frame.id} after {last}"
                self.breach("a_stream_has_no_hole", detail)
            last = frame.id

    def completed_in(self, session: str) -> list[str]:
        """Return the runs of a session that have COMPLETED, unless it is being deleted."""
        if session in self.deletions:
            return []
        headers = [self.header(facts.key) for facts in self.runs.values()]
        return [
            header.id
            for header in headers
            if header is not None
            and header.session_id == session
            and header.status is RunStatus.COMPLETED
        ]

    def is_missing(self, session: str, due: Sequence[str], what: str) -> None:
        """Note that something of a session is missing, unless it is being deleted."""
        if session not in self.deletions:
            detail = f"{what} is missing, of {session} with {', '.join(due)}"
            self.breach("a_session_tells_what_was_said", detail)

    def session_read(
        self, session: str, due: Sequence[str], told: Mapping[str, str], asked_at: float
    ) -> None:
        """A session shows everything that has COMPLETED, and nothing that was deleted."""
        for run_id in due:
            if run_id not in told:
                self.is_missing(session, due, run_id)
        for run_id, output in told.items():
            facts = self.runs.get(run_id)
            if facts is None:
                continue
            if facts.session != session or (facts.gone_at is not None and asked_at > facts.gone_at):
                self.breach("what_was_deleted_is_gone", f"{session} tells of {run_id}")
            whole = whole_text(self.scripts[facts.message])
            if not whole.startswith(output) or (run_id in due and output != whole):
                self.breach("a_session_tells_what_was_said", f"{run_id}: {output!r}, {whole!r}")

    def cancelled(self, run_id: str) -> None:
        """Note that a cancel was acknowledged, if the run had not ended by then."""
        facts = self.runs[run_id]
        header = self.header(facts.key)
        if header is not None and facts.cancelled_at is None:
            facts.cancelled_at = self.world.now

    def deleted(self, run_ids: Iterable[str]) -> None:
        """Note that a deletion was acknowledged, of these runs."""
        for run_id in run_ids:
            self.runs[run_id].gone_at = self.world.now
