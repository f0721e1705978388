"""The ids of calls and their results as a provider takes them: legal, and no two alike."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    ToolCallPart,
    ToolReturnPart,
)

from agent_catalog.models.provider_rules import ILLEGAL_IN_NAMES, ProviderRules
from agent_catalog.models.sound_answers import free_id, shortened_id


def with_fitting_ids(messages: Sequence[ModelMessage], rules: ProviderRules) -> list[ModelMessage]:
    """
    Return messages whose calls have ids of their own, each result with the id of its call.

    A result belongs to a call of the answer right before it; of calls with one id, to the first one
    that has none yet. A second result of one call, or one without a call, is left out.
    """
    renaming = _Renaming(rules)
    result: list[ModelMessage] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            renaming.begin()
            said = [renaming.called(part) for part in message.parts]
            result.append(replace(message, parts=said))
        elif isinstance(message, ModelRequest):
            sent = [renamed for part in message.parts if (renamed := renaming.returned(part))]
            result.append(replace(message, parts=sent))
    return result


class _Renaming:
    """The ids given so far, and the last answer's calls without a result, by their former ids."""

    def __init__(self, rules: ProviderRules) -> None:
        self._rules = rules
        self._taken: set[str] = set()
        self._open: defaultdict[str, deque[str]] = defaultdict(deque)

    def begin(self) -> None:
        self._open.clear()

    def called(self, part: ModelResponsePart) -> ModelResponsePart:
        if not isinstance(part, ToolCallPart):
            return part
        fitting = self._fitting(part.tool_call_id)
        self._open[part.tool_call_id].append(fitting)
        return replace(part, tool_call_id=fitting)

    def returned(self, part: ModelRequestPart) -> ModelRequestPart | None:
        if not isinstance(part, ToolReturnPart):
            return part
        waiting = self._open[part.tool_call_id]
        return replace(part, tool_call_id=waiting.popleft()) if waiting else None

    def _fitting(self, call_id: str) -> str:
        longest = self._rules.longest_call_id
        if not self._rules.call_id.fullmatch(call_id):
            call_id = ILLEGAL_IN_NAMES.sub("_", call_id) or "call"
        if len(call_id) > longest:
            call_id = shortened_id(call_id, longest=longest)
        call_id = free_id(call_id, self._taken, longest=longest)
        self._taken.add(call_id)
        return call_id
