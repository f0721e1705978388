"""What a turn has used, how that is reported, and what it may still use."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.agent_file import Limits
from agentrun.domain.events import Metrics


class Spent(BaseModel):
    """What counts towards the limits; a paused turn hands it on to its continuation."""

    model_config = ConfigDict(defer_build=True)

    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None

    def plus(self, usage: RunUsage) -> "Spent":
        """Return the sum with what was used since."""
        costs = [cost for cost in (self.cost, usage.cost) if cost is not None]
        return Spent(
            requests=self.requests + usage.requests,
            tool_calls=self.tool_calls + usage.tool_calls,
            input_tokens=self.input_tokens + usage.input_tokens,
            output_tokens=self.output_tokens + usage.output_tokens,
            cost=sum(costs, Decimal(0)) if costs else None,
        )


def remaining_limits(limits: Limits, spent: Spent) -> UsageLimits:
    """Return what the limits leave of a turn that was paused."""
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
    """Return a run's figures; what the provider did not report is None."""
    if not usage.requests:
        return Metrics(model=model_id)
    measured = not usage.unmeasured_requests
    return Metrics(
        input_tokens=usage.input_tokens if measured else None,
        output_tokens=usage.output_tokens if measured else None,
        # 0 may also mean that the provider does not count them.
        reasoning_tokens=usage.output_reasoning_tokens or None,
        total_tokens=usage.total_tokens if measured else None,
        llm_calls=usage.requests,
        model=model_id,
        cost_usd=float(usage.cost) if usage.cost is not None and measured else None,
    )
