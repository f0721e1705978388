"""Runs that outlast their functions; `make endurance` has longer ones."""

from collections.abc import Iterator

import pytest

from tests.endurance.handovers import Times, long_run, short_lived_stack
from tests.endurance.stack import EnduranceStack
from tests.openai_compatible import OpenAiCompatibleServer

TIMES = Times(timeout_s=14)


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EnduranceStack, OpenAiCompatibleServer]]:
    scratch = tmp_path_factory.mktemp("handed_over")
    with short_lived_stack(scratch, timeout_s=TIMES.timeout_s) as stack:
        yield stack


def test_answers_that_end_in_time_are_asked_for_once(
    stack: tuple[EnduranceStack, OpenAiCompatibleServer],
) -> None:
    run = long_run(*stack, TIMES.in_time(2))
    assert run.faults == []
    assert run.hand_overs >= 2
    assert (run.resets, run.asked_twice, run.irregular_ids) == (0, 0, 0)


def test_an_answer_that_does_not_end_in_time_is_made_again(
    stack: tuple[EnduranceStack, OpenAiCompatibleServer],
) -> None:
    # Two, since a slow machine may hand over before it begins one of them.
    run = long_run(*stack, TIMES.made_again(2))
    assert run.faults == []
    assert run.irregular_ids == 0
    assert run.resets == run.asked_twice >= 1
    resets = [frame.object for frame in run.frames if frame.event == "STEP_RESET"]
    assert {reset["reason"] for reset in resets} == {"HANDED_OVER"}
