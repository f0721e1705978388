"""A run waits for an approval, and the server is killed and started again meanwhile."""

import asyncio

import httpx

from bench.peers.peer import NoWayError
from bench.peers.place import Place, until
from bench.peers.questions import Answers

APPROVAL = "waits for an approval over a restart"


async def ask(place: Place) -> Answers:
    """Pause a run, restart the server, approve, and look at the tool and the answer."""
    tag = place.tag()
    heard = await place.ask(f"[{tag}] pay say 20 at 0")
    if heard.pause is None or heard.run is None:
        return {APPROVAL: "no approvals but your own"}
    # Some write what they keep every few seconds; a human takes longer than that, too.
    await asyncio.sleep(15)
    await place.restart()
    try:
        await place.peer.approve(place.http, heard.run, heard.pause)
    except (NoWayError, httpx.HTTPError) as error:
        return {APPROVAL: f"no: {str(error)[:80]}"}
    whole = await until(lambda: any(call.sent == 20 for call in place.model.of(tag)), 30)
    effects = place.effects(tag)
    is_right = effects == 1 and whole is not None
    return {APPROVAL: "yes" if is_right else f"no: {effects} effects"}
