"""What was observed, as the two tables of docs/readers.md."""

from collections.abc import Iterable, Sequence

from tests.readers import situations
from tests.readers.observing import Observation, Observations
from tests.readers.roster import READERS, Reader

RECIPES_HEAD = (
    *("reader", "version", "request", "event by event", "pings", "three cuts in mid-event"),
    *("at the end", "at PAUSED", "at 204", "at 401"),
)
LEFT_OPEN_HEAD = ("package", "version", "a cut in mid-event", "the end", "204", "401")


def recipes_table(observations: Observations) -> list[str]:
    """Return the lines of the table of recipes, for the readers that were observed."""
    return _table(
        RECIPES_HEAD,
        (
            recipe_row(reader, observations)
            for reader in READERS
            if (reader, situations.WHOLE) in observations
        ),
    )


def left_open_table(observations: Observations) -> list[str]:
    """Return the lines of the table of packages that are left to themselves."""
    return _table(
        LEFT_OPEN_HEAD,
        (
            left_open_row(reader, observations)
            for reader in READERS
            if (reader, situations.LEFT_OPEN) in observations
        ),
    )


def recipe_row(reader: Reader, observations: Observations) -> Sequence[str]:
    """Return what a reader did with its recipe."""
    whole, cut, paused, decided, nothing_left, refused, refused_later = (
        observations[reader, situation] for situation in situations.WITH_RECIPE
    )
    pings = sum(request.pings for request in whole.requests)
    return (
        f"`{reader.name}`",
        reader.version,
        "POST, then GET" if reader.attaches else "POST",
        "yes" if whole.incremental else "no",
        "ignored" if pings and _all_seen(whole) else "trips over them",
        f"resumed, {len(cut.requests)} requests" if _all_seen(cut) else "events lost or doubled",
        _stopped(whole, [200]),
        _stopped(paused, [200]) + (", reads on when decided" if _rest_seen(decided) else ""),
        _stopped(nothing_left, [204]),
        _refusal(refused, [401]) if refused_later.statuses == [200, 401] else "asks again",
    )


def left_open_row(reader: Reader, observations: Observations) -> Sequence[str]:
    """Return what a package did that nobody stopped."""
    end = observations[reader, situations.LEFT_OPEN]
    lost = observations[reader, situations.LEFT_OPEN_END_LOST]
    asked_after_end = end if 204 in end.statuses else lost
    return (
        f"`{reader.name}`",
        reader.version,
        _after_cut(observations[reader, situations.LEFT_OPEN_CUT]),
        "asks again" if len(end.requests) > 1 else _ending(end),
        _ending(asked_after_end),
        _ending(observations[reader, situations.LEFT_OPEN_REFUSED]),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [
        f"| {' | '.join(line)} |".replace("| --- ", "|---").replace("--- |", "---|")
        for line in lines
    ]


def _all_seen(observation: Observation) -> bool:
    return not observation.failure and observation.seen == observation.recorded


def _rest_seen(observation: Observation) -> bool:
    count = len(observation.seen)
    rest = observation.recorded[-count:] if count else []
    return not observation.failure and observation.seen == rest != []


def _stopped(observation: Observation, statuses: Sequence[int]) -> str:
    return "stops" if observation.statuses == statuses and not observation.failure else "goes on"


def _refusal(observation: Observation, statuses: Sequence[int]) -> str:
    return "raises" if observation.statuses == statuses and observation.failure else "asks again"


def _after_cut(observation: Observation) -> str:
    if observation.seen == observation.recorded:
        return "resumes"
    if len(observation.requests) == 1:
        return _ending(observation)
    return "resumes, loses the event"


def _ending(observation: Observation) -> str:
    if observation.asks_for_ever:
        return "asks for ever"
    return "raises" if observation.failure else "stops"
