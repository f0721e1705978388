"""Repeating a call until it succeeds, or no pause is left."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentrun.domain.conversations import FREE
from agentrun.domain.errors import FencedError, SessionBusyError, StoreUnavailableError
from agentrun.service.ports import TriedAhead, every, retried

pytestmark = pytest.mark.anyio
AWAY = StoreUnavailableError("away")


class Call:
    """Raises the errors, one each time, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


async def test_a_call_is_repeated_until_it_succeeds_or_no_pause_is_left() -> None:
    call = Call(AWAY, AWAY)
    assert await retried(call, (0, 0)) == "answer"
    assert call.tries == 3
    with pytest.raises(StoreUnavailableError):
        await retried(Call(AWAY, AWAY, AWAY), (0, 0))


async def test_no_try_begins_after_the_time_is_up() -> None:
    with pytest.raises(StoreUnavailableError):
        await retried(Call(AWAY), every(0.01, for_s=0.01))


async def test_the_time_counts_from_before_the_first_try() -> None:
    pauses = every(0, for_s=0.001)
    await asyncio.sleep(0.002)
    assert list(pauses) == []


async def test_other_errors_are_raised_at_once() -> None:
    with pytest.raises(FencedError):
        await retried(Call(FencedError("fenced")), every(0))


async def test_the_caller_says_which_errors_another_try_may_mend() -> None:
    call = Call(SessionBusyError(FREE), AWAY)
    on = (SessionBusyError, StoreUnavailableError)
    assert await retried(call, every(0), on=on) == "answer"


async def test_something_may_be_done_before_each_retry() -> None:
    done: list[int] = []
    call = Call(AWAY, AWAY)

    async def note() -> None:
        done.append(call.tries)

    await retried(call, every(0), before_retry=note)
    assert done == [1, 2]


async def test_a_call_made_ahead_counts_as_the_first_try() -> None:
    made: list[int] = []

    def call() -> int:
        made.append(1)
        if len(made) == 1:
            raise AWAY
        return len(made)

    with ThreadPoolExecutor(1) as threads:
        tried = TriedAhead(call)
        tried.make()
        assert made == [1]
        assert await retried(lambda: tried.take(threads), [0]) == 2
        tried.make()
        assert await tried.take(threads) == 3
