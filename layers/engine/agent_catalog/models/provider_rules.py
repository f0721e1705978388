"""What the providers take back of a call and its result; `docs/models.md` names the sources."""

import re
from dataclasses import dataclass

from pydantic_ai.models import Model

LONGEST_NAME = 64
"""Of a tool, at Bedrock, Anthropic and OpenAI; they also agree on its characters."""
ILLEGAL_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")

_ANY = re.compile(r".+", re.DOTALL)
_LONGEST_CALL_ID = 64
_BEDROCK_CALL_ID = re.compile(rf"[a-zA-Z0-9_.:-]{{1,{_LONGEST_CALL_ID}}}")
# Anthropic's. An ARN does not say whose model it is, so this goes for nearly all.
_STRICT_CALL_ID = re.compile(rf"[a-zA-Z0-9_-]{{1,{_LONGEST_CALL_ID}}}")
_LONGEST_OPENAI_CALL_ID = 40
_OPENAI_CALL_ID = re.compile(rf".{{1,{_LONGEST_OPENAI_CALL_ID}}}", re.DOTALL)


@dataclass(frozen=True)
class ProviderRules:
    """
    What differs from provider to provider.

    `call_id` is what an id looks like and `longest_call_id` its length; `only_json_objects` says
    that a tool's result goes back as JSON, which then has to be an object, and `calls_alone` that
    nothing may stand beside the calls in an answer.
    """

    call_id: re.Pattern[str] = _ANY
    longest_call_id: int = 256
    only_json_objects: bool = False
    calls_alone: bool = False


def rules_of(model: Model) -> ProviderRules:
    """Return the rules of a model's provider; one that nothing is known of takes any id."""
    pattern, longest = _call_id(model)
    return ProviderRules(
        call_id=pattern,
        longest_call_id=longest,
        only_json_objects=model.profile.get("bedrock_tool_result_format") == "json",
        # pydantic-ai knows it of results, which are as particular; its own message is split alike.
        calls_alone=model.profile.get("bedrock_tool_result_colocatable_content") == frozenset(),
    )


def _call_id(model: Model) -> tuple[re.Pattern[str], int]:
    if model.system == "bedrock" and "moonshot" in model.model_name:
        # Kimi's models want their own ids back, `functions.add:0`.
        return _BEDROCK_CALL_ID, _LONGEST_CALL_ID
    if model.system in {"bedrock", "anthropic"}:
        return _STRICT_CALL_ID, _LONGEST_CALL_ID
    if model.system in {"openai", "azure", "openrouter"}:
        return _OPENAI_CALL_ID, _LONGEST_OPENAI_CALL_ID
    return _ANY, 256
