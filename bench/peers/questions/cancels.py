"""A run is cancelled: does the model's answer really stop?"""

import asyncio

from bench.peers.peer import NoWayError
from bench.peers.place import Heard, Place, has_ended, until
from bench.peers.questions import Answers

_WITHIN_S = 40
"""Longer than the whole answer, which takes 30 s."""
CANCEL = "cancelled: the model call is closed after"


async def ask(place: Place) -> Answers:
    """Cancel a run of half a minute after its first words, while its reader goes on reading."""
    tag = place.tag()
    heard = Heard()
    pieces = place.peer.run(place.http, f"[{tag}] say 600 at 20", tag)
    reader = asyncio.create_task(place.listen(pieces, heard))
    try:
        await until(lambda: heard.text.count("w") >= 20, 20)
        (call, *_) = place.model.of(tag)
        if heard.run is None:
            return {CANCEL: "no way to cancel, but to cut the connection"}
        try:
            await place.peer.cancel(place.http, heard.run)
        except NoWayError:
            return {CANCEL: "no way to cancel"}
        took_s = await until(lambda: has_ended(call), _WITHIN_S)
        # What ended it may still be writing that down.
        await asyncio.sleep(3)
        status, _ = await place.status(heard.run)
        took = "never" if took_s is None or call.is_whole else f"{took_s:.2f} s"
        return {CANCEL: f"{took}, {status}"}
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
