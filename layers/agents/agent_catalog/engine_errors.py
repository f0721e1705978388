"""What a failed run says: a safe sentence and a type; the cause is only chained."""

from pydantic_ai import exceptions as ai

from agentrun.domain.errors import EngineError

# The first match counts, so the special stands before the general.
_SENTENCES: tuple[tuple[type[Exception], str, str], ...] = (
    (ai.UsageLimitExceeded, "USAGE_LIMIT", "The run has reached the limit of what it may use."),
    (ai.ModelRateLimitError, "MODEL_THROTTLED", "The model takes no more requests at the moment."),
    (ai.ModelOverloadedError, "MODEL_THROTTLED", "The model is overloaded at the moment."),
    (ai.ModelTimeoutError, "MODEL_TIMEOUT", "The model has not answered in time."),
    (ai.ModelRequestTimeout, "MODEL_TIMEOUT", "The model has not answered in time."),
    (ai.RunTimedOut, "MODEL_TIMEOUT", "The model has not answered in time."),
    (ai.ModelContextWindowExceededError, "MODEL_ERROR", "The input is too long for the model."),
    (ai.ModelUnavailableError, "MODEL_ERROR", "The model is not available at the moment."),
    (ai.ModelConnectionError, "MODEL_ERROR", "The connection to the model has failed."),
    (ai.ModelAuthenticationError, "MODEL_ERROR", "The model may not be used by this service."),
    (ai.ModelNotFoundError, "MODEL_ERROR", "The model does not exist, or not in this region."),
    (ai.ModelRequestRejectedError, "MODEL_ERROR", "The model has refused the request."),
    (ai.ContentFilterError, "MODEL_ERROR", "The model has refused this content."),
    (ai.ModelAPIError, "MODEL_ERROR", "The model has failed."),
    (ai.UnexpectedModelBehavior, "MODEL_ERROR", "The model gave an answer that cannot be used."),
    (ai.UserError, "AGENT_ERROR", "The agent is not set up correctly."),
)


def engine_error(error: Exception) -> EngineError:
    """Classify what ended a run; raise the result `from` the error."""
    for kind, error_type, sentence in _SENTENCES:
        if isinstance(error, kind):
            return EngineError(sentence, error_type=error_type)
    return EngineError("The agent has failed.", error_type="AGENT_ERROR")
