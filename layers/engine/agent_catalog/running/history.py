"""What the model is shown: the task, and the earlier turns of the conversation."""

import logging
from collections.abc import Iterator, Sequence

from pydantic import JsonValue
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from agent_catalog.agent_file import History
from agent_catalog.json_form import to_json_value
from agent_catalog.running.messages import loaded
from agentrun.domain.conversations import PastTurn
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import AgentTask


def user_prompt(task: AgentTask) -> str | Sequence[UserContent]:
    """Return the message, and its media after it, in the request's order."""
    if not task.media:
        return task.message
    return [task.message, *(_content(media) for media in task.media)]


def _content(media: LoadedMedia) -> BinaryContent:
    return BinaryContent.narrow_type(BinaryContent(media.data, media_type=media.type))


_log = logging.getLogger(__name__)

# A usual estimate for English text and JSON; half the window stays for what the turn itself needs.
_CHARACTERS_PER_TOKEN = 4
_CUT_OFF = "[This answer was cut off.]"
_NO_ANSWER = "[There is no answer: the run broke off.]"


def to_messages(
    history: Sequence[PastTurn], limits: History, *, context_window: int | None = None
) -> list[ModelMessage]:
    """
    Return the newest turns that fit, whole and the oldest first.

    Args:
        history: The earlier turns, the oldest first.
        limits: How many turns and characters.
        context_window: The model's, in tokens, where it is known: half of it caps the characters.
    """
    characters = limits.characters
    if context_window is not None:
        characters = min(characters, context_window * _CHARACTERS_PER_TOKEN // 2)
    kept: list[PastTurn] = []
    for turn in reversed(history[-limits.turns :] if limits.turns else ()):
        characters -= _size(turn)
        if characters < 0:
            break
        kept.append(turn)
    return [message for turn in reversed(kept) for message in messages_of(turn)]


def messages_of(turn: PastTurn) -> list[ModelMessage]:
    """Return a turn's own messages, or its question and answer where they say it all."""
    messages = [] if turn.messages is None else _read(turn.run_id, turn.messages)
    if messages:
        return messages
    answer = turn.output if turn.is_whole else f"{turn.output}\n\n{_CUT_OFF}"
    if not turn.output.strip():
        answer = _NO_ANSWER
    return [
        ModelRequest(parts=[UserPromptPart(turn.input)]),
        ModelResponse(parts=[TextPart(answer)]),
    ]


def tool_results(
    history: Sequence[PastTurn], latest: Sequence[ModelMessage] = ()
) -> Iterator[tuple[str, JsonValue]]:
    """Yield what tools have returned, the oldest first, as pairs of the tool's name and JSON."""
    earlier = (message for turn in history if turn.messages for message in messages_of(turn))
    for message in (*earlier, *latest):
        for part in message.parts:
            if isinstance(part, ToolReturnPart) and part.outcome == "success":
                yield part.tool_name, to_json_value(part.content)


def _read(run_id: str, dumped: str) -> list[ModelMessage]:
    """Read a turn's messages; none where they cannot stand in a history."""
    try:
        messages = loaded(dumped)
    except ValueError:
        _log.warning("the messages of a turn cannot be read", extra={"runId": run_id})
        return []
    # A turn that ends in calls without results would be refused by any model.
    match messages:
        case [ModelRequest(), *_, ModelResponse(tool_calls=[])]:
            return messages
        case _:
            _log.warning("the messages of a turn are not whole", extra={"runId": run_id})
            return []


def _size(turn: PastTurn) -> int:
    return len(turn.messages) if turn.messages else len(turn.input) + len(turn.output)
