"""The same POST twice: a client whose answer was lost sends it again."""

from bench.peers.place import Heard, Place, has_ended, until
from bench.peers.questions import Answers

TWICE = "the same POST sent twice"


async def ask(place: Place) -> Answers:
    """Send a message, lose the connection after five words, and send it again."""
    tag = place.tag()
    message = f"[{tag}] say 40 at 20"
    first, second = Heard(), Heard()
    run = place.peer.run(place.http, message, tag)
    await place.listen(run, first, lambda: first.text.count("w") >= 5)
    await place.listen(place.peer.run(place.http, message, tag), second)
    await until(lambda: all(map(has_ended, place.model.of(tag))), 15)
    calls = len(place.model.of(tag))
    return {TWICE: f"{_counted(calls, 'model call')}"}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
