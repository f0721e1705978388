"""The server is killed, with all of its processes, in the middle of two runs, and started again."""

import asyncio
import time
from dataclasses import dataclass, field

from bench.peers.place import Heard, Place, until
from bench.peers.questions import Answers

_WATCH_S = 100
_WORDS, _PACE, _SEEN = 400, 20, 260
"""Killed after 13 s, for one peer writes what it keeps every 10 s; the answer takes 20 s."""
RECORD = "server killed in mid-answer and started again: the record says"
FINISHED = "the run is finished"
EFFECTS = "effects of its tool, which had finished before"
IN_TOOL = "killed in the tool, after its effect: effects, record"


@dataclass
class Watched:
    """A run that was under way, and what its record said, with the second that it said so."""

    tag: str
    heard: Heard = field(default_factory=Heard)
    statuses: list[tuple[float, str]] = field(default_factory=list)
    text: str = ""


async def ask(place: Place) -> Answers:
    """Kill two runs: one in the answer after a tool, one in the tool."""
    answer, tool = Watched(place.tag()), Watched(place.tag())
    messages = {
        answer.tag: f"[{answer.tag}] act 0 say {_WORDS} at {_PACE}",
        tool.tag: f"[{tool.tag}] act 60 say 20 at 0",
    }
    readers = [
        asyncio.create_task(
            place.listen(place.peer.run(place.http, messages[one.tag], one.tag), one.heard)
        )
        for one in (answer, tool)
    ]
    await until(lambda: answer.heard.text.count("w") >= _SEEN and place.effects(tool.tag) == 1, 60)
    asked = {one.tag: len(place.model.of(one.tag)) for one in (answer, tool)}
    place.server.kill()
    await asyncio.gather(*readers)
    await place.serve()
    await _watch(place, answer, tool)
    more = place.model.of(answer.tag)[asked[answer.tag] :]
    is_finished = any(call.is_whole and call.sent == _WORDS for call in more)
    return {
        RECORD: told(answer.statuses),
        FINISHED: f"yes, {answer.statuses[-1][0]:.0f} s later" if is_finished and answer.statuses
        else "yes" if is_finished else f"not within {_WATCH_S} s",
        EFFECTS: str(place.effects(answer.tag)),
        IN_TOOL: f"{place.effects(tool.tag)}, {told(tool.statuses)}",
    }  # fmt: skip


async def _watch(place: Place, *runs: Watched) -> None:
    began = time.monotonic()
    while (after_s := time.monotonic() - began) < _WATCH_S:
        for run in runs:
            status, run.text = await place.status(run.heard.run)
            if status and (not run.statuses or run.statuses[-1][1] != status):
                run.statuses.append((after_s, status))
        if all(run.statuses and is_over(run.statuses[-1][1]) for run in runs):
            return
        if not any(run.statuses for run in runs) and after_s > _WATCH_S / 2:
            return
        await asyncio.sleep(0.5)


def is_over(status: str) -> bool:
    """Tell whether a status, in the words of any peer, is one that nothing changes by itself."""
    return status.lower() in {
        *("completed", "failed", "cancelled", "paused", "error", "success", "interrupted"),
        *("max_recovery_attempts_exceeded", "timeout"),
    }


def told(statuses: list[tuple[float, str]]) -> str:
    """Write down what a record said, in order."""
    return ", then ".join(status for _, status in statuses) or "no record"
