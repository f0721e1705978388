"""What a paused run leaves for its continuation, in every `RunStore`."""

import random

import pytest

from agentrun.domain.conversations import FREE
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.events import Metrics
from agentrun.domain.media import LoadedMedia
from agentrun.domain.requests import RunOptions, RunRequest
from agentrun.domain.turns import Checkpoint
from tests.contract.stores import Stores
from tests.contract.test_run_store_pauses import DECIDED, KEY, SECOND, pause, pause_and_resume
from tests.runs import a_request, a_run, completed, paused


@pytest.mark.parametrize("size", [0, 5_000, 2_000_000])
def test_a_checkpoint_of_any_size_comes_back(stores: Stores, size: int) -> None:
    state = "".join(random.Random(size).choices("abcdé🙂\u2028\r\n", k=size))
    request = RunRequest.model_validate(
        {
            "message": "Buy «10»",
            "sessionId": a_run().session_id,
            "media": [{"type": "image/png", "data": "aGk="}],
            "options": RunOptions(temperature=0.5),
        }
    )
    kept = Checkpoint(
        request=request,
        state=state,
        media=(LoadedMedia(type="image/png", data=bytes(range(256))),),
        output="so far",
        metrics=Metrics(total_tokens=3, cost_usd=0.1),
    )
    pause(stores, checkpoint=kept)
    assert stores.runs.checkpoint(KEY) == kept


def test_a_run_that_never_paused_has_no_checkpoint(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    for key in (KEY, a_run("nobody").key):
        with pytest.raises(RunNotFoundError):
            stores.runs.checkpoint(key)


def test_a_checkpoint_is_there_until_the_run_has_gone_on_to_its_next_end(stores: Stores) -> None:
    pause_and_resume(stores)
    assert stores.runs.checkpoint(KEY) == paused().checkpoint
    stores.runs.finish(KEY, SECOND.executor, completed(last_event_id=9), at=DECIDED)
    with pytest.raises(RunNotFoundError):
        stores.runs.checkpoint(KEY)


@pytest.mark.parametrize(("first", "second"), [(10, 60_000), (60_000, 10), (400_000, 60_000)])
def test_the_output_is_the_last_executions(stores: Stores, first: int, second: int) -> None:
    before, after = ("".join(random.Random(n).choices("abcdé🙂", k=n)) for n in (first, second))
    seen = pause(stores, output=before)
    assert stores.runs.get(KEY).output == before
    stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    outcome = completed(after, last_event_id=9)
    stores.runs.finish(KEY, SECOND.executor, outcome, at=DECIDED)
    assert stores.runs.get(KEY).output == after
    cut = stores.runs.get_many([KEY], with_text=True)[KEY]
    assert cut.output == after.encode()[:4096].decode(errors="ignore")


def test_what_a_fenced_executor_leaves_behind_is_never_read(stores: Stores) -> None:
    seen = pause(stores, output="x" * 100_000)
    stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    zombies = Checkpoint(request=a_request(), state="another")
    outcome = paused(output="y" * 200_000, checkpoint=zombies, last_event_id=8)
    with pytest.raises(FencedError):
        stores.runs.finish(KEY, SECOND.executor, outcome, at=DECIDED)
    assert stores.runs.checkpoint(KEY) == paused().checkpoint
    assert stores.runs.get(KEY).output == "x" * 100_000
