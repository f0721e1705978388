"""What the answers of a LangGraph graph's models say of themselves: their tokens and their end."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic_ai.usage import RequestUsage

# Each integration of LangChain passes on its provider's own key and word. OpenAI's responses have
# them in `incomplete_details`.
_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
_CUT = ("length", "max_tokens", "max_output_tokens", "context_window")


def is_cut_call(message: AIMessage) -> bool:
    """
    Return whether the model ran out of tokens in an answer with tool calls.

    Their arguments may be wrong, although they look whole: langchain-core 1.8.3 reads those of a
    stream as partial JSON, so that a call cut inside the number 1000 asks for 10.
    """
    if not (message.tool_calls or message.invalid_tool_calls):
        return False
    told = message.response_metadata
    details = told.get("incomplete_details")
    reasons = [told.get(key) for key in _KEYS]
    reasons.append(details.get("reason") if isinstance(details, Mapping) else None)
    # Not equal to: a reason that a server sends twice becomes "lengthlength".
    return any(word in str(reason).lower() for reason in reasons if reason for word in _CUT)


def used_by(message: AIMessage, told: Sequence[UsageMetadata]) -> RequestUsage:
    """
    Return what an answer has used.

    Args:
        message: The whole answer. Its usage is the sum of what its chunks have told.
        told: What the chunks have told, in their order. langchain-openai 1.7.4 passes on the
            running totals that some servers send with every chunk; of those, the last one counts.
    """
    usage = told[-1] if _are_running_totals(told) else message.usage_metadata
    if usage is None:
        return RequestUsage(unmeasured_requests=1)
    return RequestUsage(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        output_reasoning_tokens=(usage.get("output_token_details") or {}).get("reasoning") or 0,
    )


def _are_running_totals(told: Sequence[UsageMetadata]) -> bool:
    """Return whether chunks repeat the input's tokens; LangChain's own way is to tell them once."""
    if len(told) < 2 or not told[0]["input_tokens"]:
        return False
    same = {usage["input_tokens"] for usage in told} == {told[0]["input_tokens"]}
    outputs = [usage["output_tokens"] for usage in told]
    return same and outputs == sorted(outputs)
