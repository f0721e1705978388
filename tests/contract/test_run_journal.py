"""Steps of runs, and what runs were asked, in every `RunJournal`."""

import random
from datetime import timedelta
from typing import Any

import pytest

from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.events import Metrics
from agentrun.domain.requests import RunOptions, RunRequest, Webhook
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.domain.steps import Answered, Continued, Returned, Step
from tests.contract.stores import Stores
from tests.contract.test_run_store_pauses import DECIDED, KEY, SECOND, pause_and_resume
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, completed, deltas, paused

LATER = AT + timedelta(seconds=9)
UNTIL = LATER + timedelta(seconds=15)
ANSWERED = Step(
    number=1,
    event_id=4,
    metrics=Metrics(total_tokens=7, model="demo"),
    content=Answered(message='{"parts": []}', acting=("c1",)),
)
RETURNED = Step(number=2, event_id=6, content=Returned(call_id="c1", part='{"content": "ok"}'))
DECISION = Decision(id="c1", action=ApprovalAction.APPROVE)
CONTINUED = Step(number=3, event_id=6, content=Continued(decisions=(DECISION,), acting=("c1",)))


def keep(stores: Stores, step: Step, executor: str = EXECUTOR) -> AgentRun:
    first = {1: 2, 2: 5}[step.number]
    events = deltas(first, step.event_id)
    return stores.journal.write(KEY, executor, step, events, at=LATER, lease_until=UNTIL)


def stored_ids(stores: Stores) -> list[int]:
    return [event.id for event in stores.log.read(KEY, after=0, at=LATER)]


def test_a_step_is_kept_with_its_events_and_renews_the_lease(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    before = stores.runs.get_state(KEY)
    run = keep(stores, ANSWERED)
    lease = Lease(executor=EXECUTOR, until=UNTIL)
    assert run == before.model_copy(update={"lease": lease})
    assert stores.runs.get_state(KEY) == run
    keep(stores, RETURNED)
    assert stores.journal.steps(KEY) == [ANSWERED, RETURNED]
    assert stores.log.read(KEY, after=0, at=LATER) == deltas(2, 6)


def test_a_step_whose_events_are_stored_needs_none(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.journal.write(KEY, EXECUTOR, ANSWERED, (), at=LATER, lease_until=UNTIL)
    assert stores.journal.steps(KEY) == [ANSWERED]
    assert stored_ids(stores) == []


def test_a_run_without_steps_has_none(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert not stores.journal.steps(KEY)


def test_a_step_does_not_shorten_a_lease(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    long_until = UNTIL + timedelta(seconds=30)
    stores.runs.heartbeat(KEY, EXECUTOR, lease_until=long_until)
    run = keep(stores, ANSWERED)
    assert run.lease == Lease(executor=EXECUTOR, until=long_until)
    assert stores.runs.get_state(KEY) == run
    assert stores.journal.steps(KEY) == [ANSWERED]


def test_a_step_kept_again_after_a_lost_reply_is_kept_once(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert keep(stores, ANSWERED) == keep(stores, ANSWERED)
    assert stores.journal.steps(KEY) == [ANSWERED]
    assert stored_ids(stores) == [2, 3, 4]


def test_a_step_tells_of_a_request_to_cancel(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert not keep(stores, ANSWERED).cancel_requested
    stores.runs.request_cancel(KEY, at=LATER)
    assert keep(stores, RETURNED).cancel_requested


@pytest.mark.parametrize("state", ["queued", "paused", "ended", "gone"])
def test_only_a_running_run_makes_steps(stores: Stores, state: str) -> None:
    run = a_queued_run("run-1") if state == "queued" else a_run()
    if state != "gone":
        stores.runs.start(run, a_request())
    if state in {"paused", "ended"}:
        outcome = paused() if state == "paused" else completed()
        stores.runs.finish(KEY, EXECUTOR, outcome, at=AT)
    with pytest.raises(FencedError):
        keep(stores, ANSWERED)
    assert (stores.journal.steps(KEY), stored_ids(stores)) == ([], [])


def test_only_the_executor_makes_steps(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(FencedError):
        keep(stores, ANSWERED, "executor-9")
    assert (stores.journal.steps(KEY), stored_ids(stores)) == ([], [])


def test_the_steps_before_a_pause_are_its_checkpoints(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    keep(stores, ANSWERED)
    keep(stores, RETURNED)
    assert stores.journal.steps(KEY) == [ANSWERED, RETURNED]
    run = stores.runs.finish(KEY, EXECUTOR, paused(), at=LATER)
    stores.runs.release(run)
    lock = stores.conversations.lock(run.org_id, run.session_id)
    stores.runs.resume(run, SECOND, seen=lock, at=DECIDED)
    begun = stores.runs.begin_continuation(
        KEY, SECOND.executor, lease_until=SECOND.until, start_id=6, step=CONTINUED
    )
    assert (begun.last_event_id, begun.has_begun) == (6, True)
    after = Step(number=4, event_id=9, content=Answered(message="{}"))
    stores.journal.write(
        KEY, SECOND.executor, after, deltas(6, 9), at=DECIDED, lease_until=SECOND.until
    )
    assert stores.journal.steps(KEY) == [CONTINUED, after]


def test_a_continuation_begins_once_with_its_step(stores: Stores) -> None:
    pause_and_resume(stores)
    step = CONTINUED.model_copy(update={"number": 1})
    begun = [
        stores.runs.begin_continuation(
            KEY, SECOND.executor, lease_until=SECOND.until, start_id=6, step=step
        )
        for _ in range(2)
    ]
    assert begun[0] == begun[1] == stores.runs.get_state(KEY)
    assert stores.journal.steps(KEY) == [step]


def test_a_continuation_of_another_executor_leaves_no_step(stores: Stores) -> None:
    pause_and_resume(stores)
    with pytest.raises(FencedError):
        stores.runs.begin_continuation(
            KEY, EXECUTOR, lease_until=SECOND.until, start_id=6, step=CONTINUED
        )
    assert not stores.journal.steps(KEY)
    assert not stores.runs.get_state(KEY).has_begun


def test_a_large_step_comes_back_whole(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    digits = "".join(random.Random(1).choices("0123456789abcdef", k=900_000))
    large = ANSWERED.model_copy(update={"content": Answered(message=digits)})
    keep(stores, large)
    keep(stores, RETURNED)
    assert stores.journal.steps(KEY) == [large, RETURNED]


@pytest.mark.parametrize("message", ["hello", "".join(map(chr, range(33, 9000)))])
def test_a_request_comes_back_as_it_was_asked(stores: Stores, message: str) -> None:
    webhook = Webhook(url="https://example.com/hook", events=("run.failed",))
    asked = RunRequest(
        message=message,
        generate_followups=True,
        options=RunOptions(model="demo", temperature=0.5, max_cost_usd=2),
        webhook=webhook,
    )
    stores.runs.start(a_run(input=message, webhook=webhook), asked)
    assert stores.journal.request(KEY) == asked
    assert stores.runs.get_state(KEY).webhook == webhook


def test_a_plain_request_comes_back(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert stores.journal.request(KEY) == a_request()


def test_a_missing_run_was_asked_nothing(stores: Stores) -> None:
    with pytest.raises(RunNotFoundError):
        stores.journal.request(KEY)


def test_what_tells_executions_apart_is_kept(stores: Stores) -> None:
    fields: dict[str, Any] = {
        "attempt": 2,
        "max_attempts": 3,
        "lost_after": (7, 1_000_009),
        "is_background": True,
        "slot_until": LATER,
        "webhook": Webhook(url="https://example.com/hook"),
    }
    stores.runs.start(a_run(**fields), a_request())
    run = stores.runs.get_state(KEY)
    assert {name: getattr(run, name) for name in fields} == fields
    ended = stores.runs.finish(KEY, EXECUTOR, completed(), at=LATER)
    assert ended.status is RunStatus.COMPLETED
    assert {name: getattr(ended, name) for name in fields} == fields
