"""A limit to each of many waits."""

import asyncio

import pytest

from agent_catalog.models.silence import SilenceWatch

pytestmark = pytest.mark.anyio


class SilentError(Exception):
    """What a wait that took too long raises."""


def watch(limit_s: float) -> SilenceWatch:
    return SilenceWatch(limit_s, SilentError)


async def test_a_wait_that_takes_too_long_raises_the_error() -> None:
    limited = watch(0.01)
    with pytest.raises(SilentError), limited:
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    limited.close()


async def test_each_wait_has_the_whole_limit() -> None:
    limited, waits = watch(1), 0
    for _ in range(4):
        with limited:
            await asyncio.sleep(0.3)
            waits += 1
    limited.close()
    assert waits == 4


async def test_the_time_between_two_waits_does_not_count() -> None:
    limited = watch(0.5)
    with limited:
        await asyncio.sleep(0)
    await asyncio.sleep(0.7)
    with limited:
        await asyncio.sleep(0)
    limited.close()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_another_cancellation_passes_as_it_is() -> None:
    limited = watch(60)

    async def wait() -> None:
        with limited:
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    limited.close()


async def test_an_error_of_the_wait_itself_passes() -> None:
    limited = watch(60)
    with pytest.raises(KeyError), limited:
        raise KeyError
    limited.close()
