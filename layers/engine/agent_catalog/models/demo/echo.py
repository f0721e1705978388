"""What an agent without tools says in demo mode: the message itself, or what a command asks for."""

import re

from agent_catalog.models.demo.step import Step, split_tokens

MAX_DELTAS = 100_000
_MAX_PAUSE_MS = 60_000

_EMIT = re.compile(r"/emit\s+(\d{1,9})(?:\s+every\s+(\d{1,9}))?(?:\s+after\s+(\d{1,9}))?")
_THINK = re.compile(r"/think\s+(.+)", re.DOTALL)


def echo(message: str) -> Step:
    """
    Answer with the message, or obey a command.

    `/emit N` gives N small deltas at full speed, `/emit N every MS` pauses MS milliseconds after
    each, and with `after MS` at its end the answer begins after a silence; `/think TEXT` gives TEXT
    as reasoning and then as answer; `/fail` breaks off in mid-answer. What only resembles a command
    is echoed.
    """
    command = message.strip()
    if match := _EMIT.fullmatch(command):
        return _emit(int(match[1]), int(match[2] or 0), int(match[3] or 0))
    if match := _THINK.fullmatch(command):
        return Step(reasoning=match[1], tokens=split_tokens(match[1]))
    if command == "/fail":
        return Step(tokens=split_tokens("This answer breaks off here, "), fails=True)
    return Step(tokens=split_tokens(message))


def _emit(count: int, pause_ms: int, lead_ms: int) -> Step:
    if not 1 <= count <= MAX_DELTAS or max(pause_ms, lead_ms) > _MAX_PAUSE_MS:
        limits = f"/emit takes 1 to {MAX_DELTAS} deltas, and at most {_MAX_PAUSE_MS} ms."
        return Step(tokens=split_tokens(limits))
    return Step(
        tokens=[f"{number} " for number in range(1, count + 1)],
        pace_s=pause_ms / 1000,
        lead_s=lead_ms / 1000,
    )
