"""A run that would call its tool for ever is given 3 000 tokens."""

import asyncio

from bench.peers.model_server import TOKENS_A_CALL
from bench.peers.place import Place
from bench.peers.questions import Answers

_TOKENS = 3_000
BUDGET = f"stopped at {_TOKENS:,} tokens".replace(",", " ")


async def ask(place: Place) -> Answers:
    """Let the peer run until it stops, 20 s at most; each model call says it took 1 000 tokens."""
    if place.peer.budget:
        return {BUDGET: f"no; by {place.peer.budget}"}
    tag = place.tag()
    try:
        async with asyncio.timeout(20):
            heard = await place.ask(f"[{tag}] loop say 1 at 0", _TOKENS)
    except TimeoutError:
        return {BUDGET: "no"}
    used = len(place.model.of(tag)) * TOKENS_A_CALL
    status, _ = await place.status(heard.run)
    return {BUDGET: f"yes, at {used:,}{', ' + status if status else ''}".replace(",", " ", 0)}
