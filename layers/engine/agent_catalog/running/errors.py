"""What a failed run tells its caller: a safe sentence and a type; the cause is only chained."""

from botocore import exceptions as aws
from pydantic_ai import exceptions as ai
from pydantic_ai.exceptions import UsageLimitExceeded

from agent_catalog.agent_file import Limits
from agent_catalog.models.guarded import OutputLimitError
from agentrun.domain.errors import EngineError

_OUT_OF_TOKENS = (
    "The model ran out of tokens before it had answered; allow it more, or ask for less."
)
_SILENT = "The model has not answered in time; try again."
_BUSY = "The model takes no more requests at the moment; try again in a minute."
_FORBIDDEN = "This service may not use the model: it lacks credentials, or they do not allow it."
_INVALID = "The model has refused the request as invalid; the service's log says why."

# The first match counts, so special errors come before general ones.
_SENTENCES: tuple[tuple[type[Exception], str, str], ...] = (
    (ai.UsageLimitExceeded, "USAGE_LIMIT", "The run has reached the limit of what it may use."),
    (ai.ModelRateLimitError, "MODEL_THROTTLED", _BUSY),
    (ai.ModelOverloadedError, "MODEL_THROTTLED", _BUSY),
    (
        ai.ModelQuotaExceededError,
        "MODEL_QUOTA",
        "The quota for the model is used up; it has to be raised before it answers again.",
    ),
    (ai.ModelTimeoutError, "MODEL_TIMEOUT", _SILENT),
    (ai.ModelRequestTimeout, "MODEL_TIMEOUT", _SILENT),
    (ai.RunTimedOut, "MODEL_TIMEOUT", _SILENT),
    (
        ai.ModelContextWindowExceededError,
        "MODEL_ERROR",
        "The input is too long for the model; shorten it, or start a new session.",
    ),
    (
        ai.ModelUnavailableError,
        "MODEL_ERROR",
        "The model is not available at the moment; try again in a minute.",
    ),
    (ai.ModelConnectionError, "MODEL_ERROR", "The connection to the model has failed; try again."),
    (ai.ModelAuthenticationError, "MODEL_ERROR", _FORBIDDEN),
    (aws.NoCredentialsError, "MODEL_ERROR", _FORBIDDEN),
    (aws.PartialCredentialsError, "MODEL_ERROR", _FORBIDDEN),
    (aws.CredentialRetrievalError, "MODEL_ERROR", _FORBIDDEN),
    (
        ai.ModelNotFoundError,
        "MODEL_ERROR",
        "The model does not exist, or not in this region; check its id.",
    ),
    (ai.ModelRequestRejectedError, "MODEL_ERROR", _INVALID),
    (aws.ParamValidationError, "MODEL_ERROR", _INVALID),
    (
        ai.ContentFilterError,
        "CONTENT_FILTERED",
        "A guardrail or a content filter has stopped the answer; change the request.",
    ),
    (OutputLimitError, "MAX_TOKENS", _OUT_OF_TOKENS),
    (ai.IncompleteToolCall, "MAX_TOKENS", _OUT_OF_TOKENS),
    (ai.ModelAPIError, "MODEL_ERROR", "The model has failed; try again."),
    (ai.UnexpectedModelBehavior, "MODEL_ERROR", "The model gave an answer that cannot be used."),
    (ai.UserError, "AGENT_ERROR", "The agent is not set up correctly."),
)
# Bedrock's code for a model that took too long; pydantic-ai does not tell it from other failures.
_TIMED_OUT = "modeltimeoutexception"


def engine_error(error: Exception) -> EngineError:
    """Classify the error that ended a run; raise the result `from` it."""
    code = error.provider_error_code if isinstance(error, ai.ModelAPIError) else None
    if (code or "").lower() == _TIMED_OUT:
        return EngineError(_SILENT, error_type="MODEL_TIMEOUT")
    for kind, error_type, sentence in _SENTENCES:
        if isinstance(error, kind):
            return EngineError(sentence, error_type=error_type)
    return EngineError("The agent has failed.", error_type="AGENT_ERROR")


_COUNTED = {
    "request_limit": "calls of the model",
    "tool_calls_limit": "tool calls",
    "input_tokens_limit": "input tokens",
    "output_tokens_limit": "output tokens",
}


def shown_error(error: Exception, limits: Limits) -> EngineError:
    """Do the same, and name the limit if a run reached one."""
    if isinstance(error, UsageLimitExceeded):
        return _limit_error(error, limits)
    return engine_error(error)


def _limit_error(error: UsageLimitExceeded, limits: Limits) -> EngineError:
    sentence = "The run has reached the limit of what it may use"
    # pydantic-ai names the limit only in its message.
    name = next((name for name in _COUNTED if name in str(error)), None)
    if name is not None:
        sentence += f": {getattr(limits, name)} {_COUNTED[name]} ({name})"
    return EngineError(f"{sentence}.", error_type="USAGE_LIMIT")
