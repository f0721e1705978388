"""What a turn has used, how it is reported, and what it and its answers may still use."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from pydantic_ai.models import Model
from pydantic_ai.profiles.anthropic import ANTHROPIC_THINKING_BUDGET_MAP, AnthropicModelProfile
from pydantic_ai.settings import ModelSettings, ThinkingLevel
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.agent_file import DEFAULT_MAX_TOKENS, Limits
from agentrun.domain.events import Metrics


class Spent(BaseModel):
    """What the limits count; a paused turn hands it on to its continuation."""

    model_config = ConfigDict(defer_build=True)

    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None

    def plus(self, usage: RunUsage) -> "Spent":
        """Add what was used since."""
        costs = [cost for cost in (self.cost, usage.cost) if cost is not None]
        return Spent(
            requests=self.requests + usage.requests,
            tool_calls=self.tool_calls + usage.tool_calls,
            input_tokens=self.input_tokens + usage.input_tokens,
            output_tokens=self.output_tokens + usage.output_tokens,
            cost=sum(costs, Decimal(0)) if costs else None,
        )


def remaining_limits(limits: Limits, spent: Spent) -> UsageLimits:
    """Return the limits of a turn that has already spent something before its pause."""
    tokens = spent.input_tokens + spent.output_tokens
    return UsageLimits(
        request_limit=limits.request_limit - spent.requests,
        tool_calls_limit=_minus(limits.tool_calls_limit, spent.tool_calls),
        input_tokens_limit=_minus(limits.input_tokens_limit, spent.input_tokens),
        output_tokens_limit=_minus(limits.output_tokens_limit, spent.output_tokens),
        total_tokens_limit=_minus(limits.total_tokens_limit, tokens),
        cost_limit=None if limits.cost_limit is None else limits.cost_limit - (spent.cost or 0),
    )


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else limit - spent


def metrics(usage: RunUsage, model_id: str) -> Metrics:
    """Return the figures of a run; what the provider did not report stays None."""
    if not usage.requests:
        return Metrics(model=model_id)
    measured = not usage.unmeasured_requests
    return Metrics(
        input_tokens=usage.input_tokens if measured else None,
        output_tokens=usage.output_tokens if measured else None,
        # Zero is also what a provider that does not count them leaves there.
        reasoning_tokens=usage.output_reasoning_tokens or None,
        total_tokens=usage.total_tokens if measured else None,
        llm_calls=usage.requests,
        model=model_id,
        cost_usd=float(usage.cost) if usage.cost is not None and measured else None,
    )


def with_max_tokens(settings: ModelSettings | None, model: Model) -> ModelSettings | None:
    """
    Return the settings of a request with a `max_tokens`, where the model is known to take it.

    pydantic-ai asks Claude models for their maximum, 64 000 or 128 000 tokens, and Bedrock counts
    what is asked for against the quota as soon as the call starts ("How tokens are counted in
    Amazon Bedrock", user guide). Other models are left at their own default: some refuse more than
    2 048. Thinking comes on top of what an answer may have, since Claude refuses a `max_tokens`
    that is not above the thinking budget.
    """
    given = ModelSettings() if settings is None else settings.copy()
    most = cast("AnthropicModelProfile", model.profile).get("anthropic_max_output_tokens")
    if given.get("max_tokens") or most is None:
        return settings
    given["max_tokens"] = min(most, DEFAULT_MAX_TOKENS + _thinking_tokens(given))
    return given


def _thinking_tokens(settings: ModelSettings) -> int:
    """Return what thinking may use when it is asked for, explicitly or by its effort."""
    level: ThinkingLevel | None = settings.get("thinking")
    fields = cast("Mapping[str, Any]", settings).get("bedrock_additional_model_requests_fields")
    if isinstance(fields, Mapping) and isinstance(asked := fields.get("thinking"), Mapping):
        # As pydantic-ai has it, these win over `thinking`.
        if isinstance(budget := asked.get("budget_tokens"), int):
            return budget
        effort = (fields.get("output_config") or {}).get("effort")
        level = False if asked.get("type") == "disabled" else effort or level or True
    return ANTHROPIC_THINKING_BUDGET_MAP.get(level, 0) if level else 0
