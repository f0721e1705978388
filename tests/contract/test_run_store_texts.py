"""Texts of any size in every `RunStore`."""

import random
from datetime import timedelta

import pytest

from agentrun.domain.endings import EndProgress
from tests.contract.stores import Stores
from tests.runs import AT, EXECUTOR, a_request, a_run, completed

LATER = AT + timedelta(seconds=9)


@pytest.mark.parametrize("size", [0, 1, 3000, 4096, 4097, 60_000, 2_000_000])
def test_an_output_of_any_size_comes_back_whole(stores: Stores, size: int) -> None:
    # Random letters compress badly, so that the larger ones need several items.
    output = "".join(random.Random(size).choices("abcdé🙂\u2028\r\n", k=size))
    stores.runs.start(a_run(), a_request())
    stores.runs.finish(a_run().key, EXECUTOR, completed(output), at=LATER)
    assert stores.runs.get(a_run().key).output == output


@pytest.mark.parametrize("size", [700, 5_000, 100_000])
def test_an_input_of_any_size_comes_back_whole(stores: Stores, size: int) -> None:
    message = "".join(random.Random(size).choices("abcdé🙂\u2028\r\n", k=size))
    run = a_run(input=message)
    stores.runs.start(run, a_request(message))
    assert stores.runs.get(run.key).input == message


def test_texts_that_are_kept_ahead_are_the_ends(stores: Stores) -> None:
    output = "".join(random.Random(1).choices("abcdé🙂", k=20_000))
    outcome, progress = completed(output), EndProgress()
    stores.runs.start(a_run(), a_request())
    before = stores.runs.get(a_run().key)
    stores.runs.keep_texts(a_run().key, EXECUTOR, outcome, at=LATER, progress=progress)
    assert stores.runs.get(a_run().key) == before
    stores.runs.finish(a_run().key, EXECUTOR, outcome, at=LATER, progress=progress)
    assert stores.runs.get(a_run().key).output == output
