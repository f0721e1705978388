"""A turn that waits for decisions, written down so that any process can go on with it."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_ai import DeferredToolRequests
from pydantic_ai.messages import ModelMessage, ToolCallPart, UserPromptPart
from pydantic_core import from_json, to_json

from agent_catalog.json_form import to_json_value
from agent_catalog.spending import Spent
from agent_catalog.turn_messages import dumped, loaded, with_prompt, without_media
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import PendingApproval
from agentrun.domain.turns import TurnPaused

_VERSION = 1


class PendingCall(BaseModel):
    """A call that waits; the fingerprint is of what the human has been shown."""

    model_config = ConfigDict(defer_build=True)

    id: str
    tool: str
    fingerprint: str


class PausedTurn(BaseModel):
    """A turn's messages so far, the results of its finished tools among them, and what waits."""

    # Most runs never pause, and every cold start imports this.
    model_config = ConfigDict(defer_build=True)

    version: Literal[1]
    messages: list[JsonValue]
    pending: list[PendingCall]
    spent: Spent

    def model_messages(self) -> list[ModelMessage]:
        """Give the messages, or raise ValueError."""
        return loaded(to_json(self.messages))


def pause(
    requests: DeferredToolRequests, messages: Sequence[ModelMessage], spent: Spent
) -> TurnPaused:
    """Write a turn down that cannot go on before somebody decides."""
    first = messages[0].parts[0]
    if isinstance(first, UserPromptPart):
        # The media are kept with the request.
        messages = with_prompt(messages, without_media(first.content))
    state = PausedTurn(
        version=_VERSION,
        messages=from_json(dumped(messages)),
        pending=[
            PendingCall(id=call.tool_call_id, tool=call.tool_name, fingerprint=fingerprint(call))
            for call in requests.approvals
        ],
        spent=spent,
    )
    return TurnPaused(
        pending=tuple(
            PendingApproval(
                id=call.tool_call_id,
                tool=call.tool_name,
                tool_name=call.tool_name,
                arguments=to_json_value(call.args_as_dict()),
            )
            for call in requests.approvals
        ),
        state=state.model_dump_json(),
    )


def read_pause(state: str) -> tuple[PausedTurn, list[ModelMessage]]:
    """
    Read a turn that was written down.

    Raises:
        CannotResumeError: It is of another version, or cannot be read.
    """
    try:
        paused = PausedTurn.model_validate_json(state)
        messages = paused.model_messages()
    except ValueError as error:
        raise CannotResumeError("The pause is recorded in a form that is not known.") from error
    if not messages:
        raise CannotResumeError("The pause is recorded without its messages.")
    return paused, messages


def fingerprint(call: ToolCallPart) -> str:
    """Tell a call by its tool and its arguments."""
    shown = json.dumps([call.tool_name, to_json_value(call.args_as_dict())], sort_keys=True)
    return sha256(shown.encode()).hexdigest()
