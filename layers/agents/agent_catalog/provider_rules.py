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


@dataclass(frozen=True)
class ProviderRules:
    """
    What differs from provider to provider.

    `call_id` is what an id looks like and `longest_call_id` its length; `only_json_objects` says
    that a tool's result goes back as JSON, which then has to be an object.
    """

    call_id: re.Pattern[str]
    longest_call_id: int
    only_json_objects: bool


def rules_of(model: Model) -> ProviderRules:
    """Return the rules of a model's provider; one that nothing is known of takes any id."""
    only_json_objects = model.profile.get("bedrock_tool_result_format") == "json"
    if model.system == "bedrock" and "moonshot" in model.model_name:
        # Kimi's models want their own ids back, `functions.add:0`.
        return ProviderRules(_BEDROCK_CALL_ID, _LONGEST_CALL_ID, only_json_objects)
    if model.system in {"bedrock", "anthropic"}:
        return ProviderRules(_STRICT_CALL_ID, _LONGEST_CALL_ID, only_json_objects)
    if model.system == "openai":
        return ProviderRules(
            re.compile(rf".{{1,{_LONGEST_OPENAI_CALL_ID}}}", re.DOTALL),
            _LONGEST_OPENAI_CALL_ID,
            only_json_objects,
        )
    return ProviderRules(_ANY, 256, only_json_objects)
