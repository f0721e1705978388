"""Real packages read runs from the real stack, with the recipes of docs/readers.md."""

from collections.abc import Callable

import pytest

from tests.readers import situations, tables
from tests.readers.observing import Observation, Observations
from tests.readers.page import left_open_rows, recipe_rows
from tests.readers.roster import READERS, Reader
from tests.readers.situations import WITH_RECIPE, WITHOUT_RECIPE, Situation

# The first test waits for what all readers do.
pytestmark = pytest.mark.timeout(600)
Of = Callable[[Situation], Observation]

each_reader = pytest.mark.parametrize(
    "reader", READERS, ids=[f"{reader.name}-{reader.version}" for reader in READERS]
)
each_left_open = pytest.mark.parametrize(
    "reader",
    [reader for reader in READERS if reader.left_open],
    ids=[f"{reader.name}-{reader.version}" for reader in READERS if reader.left_open],
)


@pytest.fixture
def of(reader: Reader, request: pytest.FixtureRequest) -> Of:
    """Look up what the reader did in a situation."""
    if lacking := reader.missing():
        pytest.skip(lacking)
    observations: Observations = request.getfixturevalue("observations")
    return lambda situation: observations[reader, situation]


def ids(events: object) -> list[str]:
    assert isinstance(events, list)
    return [event["id"] for event in events]


@each_reader
def test_it_hands_on_each_event_before_the_next_is_sent(reader: Reader, of: Of) -> None:
    assert of(situations.WHOLE).incremental
    assert of(situations.WHOLE).seen == of(situations.WHOLE).recorded


@each_reader
def test_it_does_not_fail_on_pings(reader: Reader, of: Of) -> None:
    whole = of(situations.WHOLE)
    assert sum(request.pings for request in whole.requests) >= 3
    assert whole.failure == ""


@each_reader
def test_cuts_in_mid_event_lose_nothing_and_repeat_nothing(reader: Reader, of: Of) -> None:
    cut = of(situations.CUT)
    assert ids(cut.seen) == [str(number) for number in range(1, 16)]
    assert cut.seen == cut.recorded
    cursors = [request.headers.get("last-event-id") for request in cut.requests]
    assert cursors[:4] == [None, None, "3", "5"]
    assert cut.failure == ""


@each_reader
def test_it_asks_once_and_stops_at_the_end(reader: Reader, of: Of) -> None:
    whole = of(situations.WHOLE)
    assert whole.seen[-1]["event"] == "STOP"
    assert (whole.statuses, whole.failure) == ([200], "")


@each_reader
def test_it_stops_at_a_pause_and_leaves_it_alone(reader: Reader, of: Of) -> None:
    paused = of(situations.PAUSED)
    assert paused.seen[-1]["event"] == "PAUSED"
    assert (paused.statuses, paused.failure) == ([200], "")
    assert [run["status"] for run in paused.runs] == ["PAUSED"]


@each_reader
def test_after_a_decision_it_reads_on_from_the_pause(reader: Reader, of: Of) -> None:
    decided = of(situations.DECIDED)
    pause = [event["event"] for event in decided.recorded].index("PAUSED")
    assert decided.seen == decided.recorded[pause + 1 :]
    assert (decided.seen[0]["event"], decided.seen[-1]["event"]) == ("START", "STOP")
    assert decided.failure == ""


@each_reader
def test_it_stops_at_204(reader: Reader, of: Of) -> None:
    nothing_left = of(situations.NOTHING_LEFT)
    assert (nothing_left.statuses, nothing_left.failure) == ([204], "")
    assert nothing_left.seen == []


@each_reader
def test_it_raises_at_401_and_does_not_ask_again(reader: Reader, of: Of) -> None:
    refused, later = of(situations.REFUSED), of(situations.REFUSED_LATER)
    assert refused.statuses == [401]
    assert refused.runs == []
    assert later.statuses == [200, 401]
    assert ids(later.seen) == ["1", "2", "3"]
    for observation in (refused, later):
        assert "401" in observation.failure


@each_reader
def test_it_starts_one_run_and_no_second(reader: Reader, of: Of) -> None:
    runs = {situation.name: len(of(situation).runs) for situation in WITH_RECIPE}
    refused = situations.REFUSED.name
    assert runs == {name: 0 if name == refused else 1 for name in runs}


@each_left_open
def test_left_open_it_starts_no_second_run_either(reader: Reader, of: Of) -> None:
    runs = {situation.name: len(of(situation).runs) for situation in WITHOUT_RECIPE}
    assert runs == dict.fromkeys(runs, 1)


@each_left_open
def test_left_open_at_a_pause_it_leaves_the_run_paused(reader: Reader, of: Of) -> None:
    for situation in (situations.LEFT_OPEN_PAUSED, situations.LEFT_OPEN_PAUSE_LOST):
        assert [run["status"] for run in of(situation).runs] == ["PAUSED"]
        assert set(of(situation).statuses) <= {200, 204}


@each_reader
def test_the_page_says_what_it_did(reader: Reader, of: Of, observations: Observations) -> None:
    assert recipe_rows()[reader] == tables.recipe_row(reader, observations)


@each_left_open
def test_the_page_says_what_it_did_left_open(
    reader: Reader, of: Of, observations: Observations
) -> None:
    assert left_open_rows()[reader] == tables.left_open_row(reader, observations)
