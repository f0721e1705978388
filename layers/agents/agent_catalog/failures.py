"""From what ended a run to what its caller is told."""

from pydantic_ai.exceptions import UsageLimitExceeded

from agent_catalog.agent_file import Limits
from agent_catalog.engine_errors import engine_error
from agentrun.domain.errors import EngineError

_COUNTED = {
    "request_limit": "calls of the model",
    "tool_calls_limit": "tool calls",
    "input_tokens_limit": "input tokens",
    "output_tokens_limit": "output tokens",
    "total_tokens_limit": "tokens",
    "cost_limit": "USD",
}


def shown_error(error: Exception, limits: Limits) -> EngineError:
    """Give what the caller is told, naming the limit if it was one; raise it `from` the error."""
    if isinstance(error, UsageLimitExceeded):
        return _limit_error(error, limits)
    return engine_error(error)


def _limit_error(error: UsageLimitExceeded, limits: Limits) -> EngineError:
    sentence = "The run has reached the limit of what it may use"
    # pydantic-ai names its limit in the message, and nowhere else.
    name = next((name for name in _COUNTED if name in str(error)), None)
    if name is not None:
        sentence += f": {getattr(limits, name)} {_COUNTED[name]} ({name})"
    return EngineError(f"{sentence}.", error_type="USAGE_LIMIT")
