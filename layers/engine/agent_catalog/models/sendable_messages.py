"""
Messages as a provider takes them: what was said before, made fit to be said again.

Only what is sent changes; the messages that come in are neither changed nor kept. It works on the
beginning of a conversation in the same way each time, so that a provider's prompt cache still finds
it. The rules, and where they come from, are in `docs/models.md`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
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

from agent_catalog.json_form import to_json_value
from agent_catalog.models.call_ids import with_fitting_ids
from agent_catalog.models.calls_as_text import calls_as_text
from agent_catalog.models.provider_rules import (
    ILLEGAL_IN_NAMES,
    LONGEST_NAME,
    ProviderRules,
    rules_of,
)
from agent_catalog.unicode_text import whole_json_text, whole_text, whole_value

EMPTY = "(empty)"
"""Stands where a provider wants a text and there is none: a blank one is refused."""
GO_ON = "."
"""Stands between two answers; pydantic-ai parts messages with it, too."""


def sendable(
    messages: Sequence[ModelMessage], model: Model, parameters: ModelRequestParameters
) -> list[ModelMessage]:
    """
    Return messages that the model's provider takes.

    Args:
        messages: What pydantic-ai is about to send, prepared for the model.
        model: The model that they go to.
        parameters: The tools that the request offers. Where it offers none, calls and their results
            are told as text: Bedrock refuses a conversation with calls in it and no tools.
    """
    rules = rules_of(model)
    offered = {tool.name for tool in parameters.function_tools + parameters.output_tools}
    clean = [_clean(message, rules, offered) for message in messages]
    if not offered and not parameters.native_tools:
        clean = calls_as_text(clean)
    # What was left out may have stood between two messages of one side.
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
    """Leave out empty answers, and make one message of those of one side that follow each other."""
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
    # A system prompt goes elsewhere: it does not make a turn of the user's.
    if isinstance(message, ModelResponse) or any(
        not isinstance(part, SystemPromptPart) for part in message.parts
    ):
        return message
    return replace(message, parts=[*message.parts, UserPromptPart(EMPTY)])


def _closing(messages: Sequence[ModelMessage]) -> Iterator[ModelRequest]:
    # An answer at the end asks the model to go on with it, which some refuse to do.
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
    # Typed as Any, since the library's special calls are typed by what their arguments are.
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
