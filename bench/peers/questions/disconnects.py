"""The client's connection is cut in mid-stream."""

import asyncio

from bench.peers.peer import NoWayError
from bench.peers.place import Heard, Place, has_ended, until
from bench.peers.questions import Answers

_WORDS, _PACE, _SEEN = 80, 20, 20
GOES_ON = "connection cut in mid-stream: the run goes on"
RESUMED = "its stream resumed: characters lost, doubled"
READ = "the finished run can be read"


async def ask(place: Place) -> Answers:
    """Cut a stream after some words, resume it half a second later."""
    tag = place.tag()
    message = f"[{tag}] say {_WORDS} at {_PACE}"
    heard = Heard()
    run = place.peer.run(place.http, message, tag)
    await place.listen(run, heard, lambda: heard.text.count("w") >= _SEEN)
    await asyncio.sleep(0.5)
    resumed = await _resumed(place, heard)
    (call, *_) = place.model.of(tag)
    await until(lambda: has_ended(call), 15)
    status, text = await place.status(heard.run)
    is_read = text.strip() == call.script.text.strip()
    return {
        GOES_ON: "yes" if call.is_whole else "no, the model call is closed",
        RESUMED: _compared(call.script.text, resumed) if resumed is not None else "no",
        READ: f"yes, {status}" if is_read else "no",
    }


async def _resumed(place: Place, heard: Heard) -> str | None:
    if heard.run is None:
        return None
    try:
        pieces = place.peer.resume(place.http, heard.run, heard.cursor)
    except NoWayError:
        return None
    await place.listen(pieces, heard)
    return None if heard.refusal else heard.text


def _compared(said: str, heard: str) -> str:
    lost, doubled = differences(said, heard)
    return f"{lost}, {doubled}"


def differences(said: str, heard: str) -> tuple[int, int]:
    """
    Count the characters of words that a reader has missed, and of those heard more than once.

    Args:
        said: Words that are all different, with a space after each.
        heard: What arrived, in any order.
    """
    words, got = said.split(), heard.split()
    lost = sum(len(word) + 1 for word in words if word not in got)
    doubled = sum((got.count(word) - 1) * (len(word) + 1) for word in set(got))
    return lost, doubled
