"""
Conversations in a form that the model's provider accepts.

Only what is sent changes; pydantic-ai's own messages stay as they are. The beginning of a
conversation is always changed in the same way, so that a provider's prompt cache still matches it.
`docs/models.md` has the providers' rules and their sources.
"""

import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    FileUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
    is_multi_modal_content,
    repair_messages,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_core import to_json

from agent_catalog.json_form import to_json_value, whole_json_text, whole_text, whole_value

LONGEST_NAME = 64
"""The longest name of a tool at Bedrock, Anthropic and OpenAI, which allow the same characters."""
ILLEGAL_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")

_ANY = re.compile(r".+", re.DOTALL)
_LONGEST_CALL_ID = 64
_BEDROCK_CALL_ID = re.compile(rf"[a-zA-Z0-9_.:-]{{1,{_LONGEST_CALL_ID}}}")
# Anthropic's rule, for nearly all of Bedrock: an ARN does not say whose model it is.
_STRICT_CALL_ID = re.compile(rf"[a-zA-Z0-9_-]{{1,{_LONGEST_CALL_ID}}}")
_LONGEST_OPENAI_CALL_ID = 40
_OPENAI_CALL_ID = re.compile(rf".{{1,{_LONGEST_OPENAI_CALL_ID}}}", re.DOTALL)

# Ids that end in a number of their own, such as `functions.add:0`.
_COUNTED = re.compile(r"(.*:)(\d{1,9})", re.DOTALL | re.ASCII)
MAX_CALL_ID = 256
"""The longest id that a decision may name; some gateways put a kilobyte of state into theirs."""
EMPTY = "(empty)"
"""Sent where a provider needs text and there is none: blank text is refused."""
GO_ON = "."
"""Sent between two answers, as pydantic-ai itself does."""
_TAG = "earlier_tool_call"


@dataclass(frozen=True)
class ProviderRules:
    """
    What differs from provider to provider.

    `call_id` matches a valid id, of at most `longest_call_id` characters. `only_json_objects`: a
    tool's result is sent as JSON and has to be an object. `calls_alone`: an answer with calls may
    contain nothing else.
    """

    call_id: re.Pattern[str] = _ANY
    longest_call_id: int = 256
    only_json_objects: bool = False
    calls_alone: bool = False


def rules_of(model: Model) -> ProviderRules:
    """Return the rules of a model's provider; an unknown provider accepts any id."""
    pattern, longest = _call_id(model)
    return ProviderRules(
        call_id=pattern,
        longest_call_id=longest,
        only_json_objects=model.profile.get("bedrock_tool_result_format") == "json",
        # pydantic-ai knows this of results; calls have to be split off just like them.
        calls_alone=model.profile.get("bedrock_tool_result_colocatable_content") == frozenset(),
    )


def _call_id(model: Model) -> tuple[re.Pattern[str], int]:
    if model.system == "bedrock" and "moonshot" in model.model_name:
        # Kimi's models need their own ids back, such as `functions.add:0`.
        return _BEDROCK_CALL_ID, _LONGEST_CALL_ID
    if model.system in {"bedrock", "anthropic"}:
        return _STRICT_CALL_ID, _LONGEST_CALL_ID
    if model.system in {"openai", "azure", "openrouter"}:
        return _OPENAI_CALL_ID, _LONGEST_OPENAI_CALL_ID
    return _ANY, 256


def sendable(
    messages: Sequence[ModelMessage], model: Model, parameters: ModelRequestParameters
) -> list[ModelMessage]:
    """
    Return messages that the model's provider accepts.

    Args:
        messages: What pydantic-ai is about to send.
        model: The model that it is sent to.
        parameters: The tools that the request offers. If it offers none, earlier calls and their
            results become text: Bedrock refuses a conversation with calls but no tools.
    """
    rules = rules_of(model)
    offered = {tool.name for tool in parameters.function_tools + parameters.output_tools}
    clean = [_clean(message, rules, offered) for message in messages]
    if not offered and not parameters.native_tools:
        clean = calls_as_text(clean)
    # Leaving parts out may have made two messages of one side adjacent.
    paired = repair_messages(with_fitting_ids(_joined(clean), rules))
    if rules.calls_alone:
        paired = [apart for message in paired for apart in _calls_apart(message)]
    return [*map(_with_some_text, paired), *_closing(paired)]


def _clean(message: ModelMessage, rules: ProviderRules, offered: set[str]) -> ModelMessage:
    if isinstance(message, ModelRequest):
        sent = [_sent(part, rules) for part in message.parts]
        return replace(message, parts=[part for part in sent if not _is_blank(part)])
    said = [_said(part, offered) for part in message.parts]
    return replace(message, parts=[part for part in said if not _is_blank(part)])


def _joined(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Leave out empty answers, and join adjacent messages of one side."""
    result: list[ModelMessage] = []
    for message in messages:
        last = result[-1] if result else None
        if isinstance(message, ModelResponse) and isinstance(last, ModelResponse):
            result[-1] = replace(last, parts=[*last.parts, *message.parts])
        elif isinstance(message, ModelRequest) and isinstance(last, ModelRequest):
            # Results come first: nothing may stand between them and their calls.
            parts = sorted((*last.parts, *message.parts), key=_is_no_result)
            instructions = message.instructions or last.instructions
            result[-1] = replace(message, parts=parts, instructions=instructions)
        elif message.parts or isinstance(message, ModelRequest):
            result.append(message)
    return result


def _calls_apart(message: ModelMessage) -> list[ModelMessage]:
    """Move an answer's calls into a message of their own, after what was said beside them."""
    if isinstance(message, ModelRequest):
        return [message]
    beside = [part for part in message.parts if not isinstance(part, ToolCallPart)]
    if not beside or not message.tool_calls:
        return [message]
    return [
        replace(message, parts=beside),
        ModelRequest(parts=[UserPromptPart(GO_ON)]),
        replace(message, parts=message.tool_calls),
    ]


def _is_no_result(part: ModelRequestPart) -> bool:
    return not isinstance(part, ToolReturnPart)


def _with_some_text(message: ModelMessage) -> ModelMessage:
    # A system prompt is sent separately, and does not count as a user's message.
    if isinstance(message, ModelResponse) or any(
        not isinstance(part, SystemPromptPart) for part in message.parts
    ):
        return message
    return replace(message, parts=[*message.parts, UserPromptPart(EMPTY)])


def _closing(messages: Sequence[ModelMessage]) -> Iterator[ModelRequest]:
    # With an answer last, the model is asked to continue it, which some refuse to do.
    if not messages or isinstance(messages[-1], ModelResponse):
        yield ModelRequest(parts=[UserPromptPart(EMPTY)])


def _is_blank(part: ModelRequestPart | ModelResponsePart) -> bool:
    if isinstance(part, TextPart):
        return not part.content.strip()
    if isinstance(part, ThinkingPart):
        return not part.content.strip() and not part.signature and not part.provider_details
    if isinstance(part, SystemPromptPart):
        return not part.content.strip()
    if isinstance(part, UserPromptPart):
        return not part.content if not isinstance(part.content, str) else not part.content.strip()
    return False


def _said(part: ModelResponsePart, offered: set[str]) -> ModelResponsePart:
    if isinstance(part, TextPart | ThinkingPart):
        return replace(part, content=whole_text(part.content))
    if not isinstance(part, ToolCallPart):
        return part
    # Any, because pydantic-ai's special calls narrow the type of their arguments.
    args: Any = whole_json_text(part.args) if isinstance(part.args, str) else part.args
    changes: dict[str, Any] = {
        "tool_name": _fitting_name(part.tool_name, offered),
        "args": whole_value(ToolCallPart(part.tool_name, args).args_as_dict()),
    }
    return replace(part, **changes)


def _sent(part: ModelRequestPart, rules: ProviderRules) -> ModelRequestPart:
    if isinstance(part, SystemPromptPart):
        return replace(part, content=whole_text(part.content))
    if isinstance(part, UserPromptPart):
        return replace(part, content=_prompt(part.content))
    if isinstance(part, ToolReturnPart):
        content: Any = part.content
        # pydantic-ai sends the items of a list one by one, but an empty list, and the faults of
        # arguments that did not fit, as one value.
        if isinstance(content, list) and content and part.outcome != "retried":
            content = [_result(item, rules) for item in content]
        else:
            content = _result(content, rules)
        return replace(part, content=content)
    return part


def _prompt(content: str | Sequence[UserContent]) -> str | list[UserContent]:
    if isinstance(content, str):
        return whole_text(content)
    whole = [whole_text(item) if isinstance(item, str) else item for item in content]
    return [item for item in whole if not isinstance(item, str) or item.strip()]


def _result(item: object, rules: ProviderRules) -> object:
    if is_multi_modal_content(item):
        return item
    if isinstance(item, str):
        return whole_text(item) if item.strip() else EMPTY
    if rules.only_json_objects and not isinstance(value := to_json_value(item), dict):
        return to_json(value).decode()
    return whole_value(item)


def _fitting_name(name: str, offered: set[str]) -> str:
    if name in offered:
        return name
    return ILLEGAL_IN_NAMES.sub("_", name)[:LONGEST_NAME] or "_"


def calls_as_text(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """
    Return messages in which each call is told as text, in the request that has its result.

    It is the user's text, not the model's: a model that finds calls written into its own answers
    writes its next calls as text, too. A tool's result is JSON inside a tag that it cannot close.
    """
    calls: dict[str, ToolCallPart] = {}
    result: list[ModelMessage] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            calls |= {call.tool_call_id: call for call in message.tool_calls}
            said = [part for part in message.parts if not isinstance(part, ToolCallPart)]
            result.append(replace(message, parts=said))
        elif isinstance(message, ModelRequest):
            sent = [_told(part, calls) for part in message.parts]
            result.append(replace(message, parts=sent))
    return result


def _told(part: ModelRequestPart, calls: dict[str, ToolCallPart]) -> ModelRequestPart:
    if not isinstance(part, ToolReturnPart):
        return part
    call = calls.get(part.tool_call_id)
    told: dict[str, Any] = {"tool": part.tool_name}
    if call is not None:
        told["arguments"] = to_json_value(call.args_as_dict())
    outcome = "result" if part.outcome == "success" else "error"
    told[outcome] = to_json_value(without_media(part.content))
    text = to_json(told).decode().replace("<", "\\u003c")
    return UserPromptPart(f"<{_TAG}>{text}</{_TAG}>")


def with_fitting_ids(messages: Sequence[ModelMessage], rules: ProviderRules) -> list[ModelMessage]:
    """
    Return messages whose calls have unique ids, and each result the id of its call.

    A result belongs to the first call of the answer before it that has its id and no result yet.
    Without such a call, it is left out.
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
    """The ids in use, and the last answer's calls without a result, by their former ids."""

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


def call_ids(messages: Collection[ModelMessage]) -> set[str]:
    """Return the ids of all calls in a conversation."""
    return {
        part.tool_call_id
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }


def free_id(wanted: str, taken: Collection[str], *, longest: int) -> str:
    """
    Return an id, with `-2`, `-3` and so on appended if it is taken.

    In an id like `functions.add:0` the number is raised instead: Kimi's models number their calls
    this way, and stop calling tools properly if they get other ids back.
    """
    counted = _COUNTED.fullmatch(wanted)
    stem, number, result = (counted[1], int(counted[2]), wanted) if counted else ("", 1, wanted)
    while result in taken:
        number += 1
        suffix = f"{number}" if counted else f"-{number}"
        result = (stem or wanted)[: longest - len(suffix)] + suffix
    return result


def shortened_id(call_id: str, *, longest: int) -> str:
    """Cut an id, and end it with a hash of the whole id."""
    digest = sha256(call_id.encode()).hexdigest()[:16]
    return f"{call_id[: longest - len(digest) - 1]}-{digest}"


def without_media(content: Any) -> Any:
    """Replace each file in a prompt or a result by its type and size in square brackets."""
    if isinstance(content, BinaryContent):
        return f"[{content.media_type}, {len(content.data)} bytes]"
    if isinstance(content, FileUrl):
        return f"[{content.media_type}]"
    if isinstance(content, list | tuple):
        return [without_media(item) for item in content]
    if isinstance(content, dict):
        return {key: without_media(item) for key, item in content.items()}
    return content
