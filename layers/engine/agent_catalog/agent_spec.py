"""
What pydantic-ai's agent spec may contain, without importing pydantic-ai.

Listing agents must not wait for the framework, which also ignores settings that it does not know. A
test compares this with the installed version.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, with_config
from typing_extensions import TypedDict

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]

ThinkingEffort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
ServiceTier = Literal["auto", "default", "flex", "priority"]
CacheRetention = Literal["5m", "30m", "1h", "12h"]


@with_config(ConfigDict(extra="forbid"))
class CacheConfig(TypedDict, total=False):
    """How to cache prompts."""

    retention: CacheRetention
    messages: bool


@with_config(ConfigDict(extra="forbid"))
class ModelSettings(TypedDict, total=False):
    """Settings of pydantic-ai's models: first those of all providers, then those of single ones."""

    max_tokens: Count
    temperature: Annotated[float, Field(ge=0)]
    top_p: Share
    top_k: Count
    timeout: Seconds
    request_timeout: Seconds
    first_event_timeout: Seconds
    max_retries: Annotated[int, Field(ge=0)]
    parallel_tool_calls: bool
    tool_choice: Literal["none", "required", "auto"] | list[str] | None
    seed: int
    presence_penalty: float
    frequency_penalty: float
    logit_bias: dict[str, int]
    stop_sequences: list[str]
    extra_headers: dict[str, str]
    thinking: bool | ThinkingEffort
    citations: bool
    cache: bool | CacheRetention | CacheConfig
    service_tier: ServiceTier
    extra_body: object

    bedrock_additional_model_requests_fields: object
    bedrock_additional_model_response_fields_paths: object
    bedrock_cache_instructions: object
    bedrock_cache_messages: object
    bedrock_cache_tool_definitions: object
    bedrock_guardrail_config: object
    bedrock_inference_profile: object
    bedrock_performance_configuration: object
    bedrock_prompt_variables: object
    bedrock_request_metadata: object
    bedrock_service_tier: object
    cerebras_clear_thinking: object
    cerebras_disable_reasoning: object
    decision_boolean_threshold: object
    decision_route_threshold: object
    google_cached_content: object
    google_cloud_service_tier: object
    google_labels: object
    google_logprobs: object
    google_model_armor_config: object
    google_safety_settings: object
    google_thinking_config: object
    google_top_logprobs: object
    google_video_resolution: object
    groq_reasoning_effort: object
    groq_reasoning_format: object
    mcp_model_preferences: object
    mistral_prompt_cache_key: object
    openai_background: object
    openai_cache_instructions: object
    openai_context_management: object
    openai_continuous_usage_stats: object
    openai_conversation_id: object
    openai_include_code_execution_outputs: object
    openai_include_file_search_results: object
    openai_include_raw_annotations: object
    openai_include_web_search_sources: object
    openai_logprobs: object
    openai_moderation: object
    openai_native_tools: object
    openai_prediction: object
    openai_previous_response_id: object
    openai_prompt_cache_diagnostics: object
    openai_prompt_cache_key: object
    openai_prompt_cache_options: object
    openai_prompt_cache_retention: object
    openai_reasoning_context: object
    openai_reasoning_effort: object
    openai_reasoning_mode: object
    openai_reasoning_summary: object
    openai_send_reasoning_ids: object
    openai_service_tier: object
    openai_store: object
    openai_text_verbosity: object
    openai_top_logprobs: object
    openai_transport: object
    openai_truncation: object
    openai_user: object
    openrouter_cache_instructions: object
    openrouter_cache_messages: object
    openrouter_cache_tool_definitions: object
    openrouter_models: object
    openrouter_preset: object
    openrouter_provider: object
    openrouter_reasoning: object
    openrouter_transforms: object
    openrouter_usage: object
    snowflake_reasoning: object
    typesafe_boolean_threshold: object
    typesafe_tool_call_threshold: object
    xai_agent_count: object
    xai_include_attachment_search_output: object
    xai_include_code_execution_output: object
    xai_include_collections_search_output: object
    xai_include_encrypted_content: object
    xai_include_inline_citations: object
    xai_include_mcp_output: object
    xai_include_web_search_output: object
    xai_include_x_search_output: object
    xai_logprobs: object
    xai_max_turns: object
    xai_previous_response_id: object
    xai_reasoning_effort: object
    xai_store_messages: object
    xai_top_logprobs: object
    xai_user: object
    zai_clear_thinking: object


_OF_ALL = "id description defer_loading"
_CAPABILITIES: dict[str, str | None] = {
    "BatchModelRequests": "max_requests max_wait max_resubmissions poll_interval max_poll_interval",
    "Caching": f"retention messages {_OF_ALL}",
    "Citations": _OF_ALL,
    "FileUnderstanding": f"fallback_subagent_model instructions {_OF_ALL}",
    "ImageGeneration": (
        "native local fallback_model fallback_subagent_model fallback_image_model action background"
        " input_fidelity moderation image_model output_compression output_format quality size"
        f" dimensions aspect_ratio {_OF_ALL}"
    ),
    "IncludeToolReturnSchemas": f"tools {_OF_ALL}",
    "Instrumentation": (
        "include_binary_content include_content include_model_request_parameters version"
        " use_aggregated_usage_attribute_names"
    ),
    "LocalWorkspace": f"working_dir read_only authority env {_OF_ALL}",
    "MCP": (
        "url native local authorization_token headers allowed_tools tool_prefix"
        f" include_instructions {_OF_ALL}"
    ),
    "ModelFallback": "models fallback_on sticky",
    "NativeTool": None,
    "PrefixTools": "prefix capability",
    "RaiseContentFilterError": _OF_ALL,
    "ReinjectSystemPrompt": f"replace_existing {_OF_ALL}",
    "SetToolMetadata": None,
    "Thinking": f"effort {_OF_ALL}",
    "ToolSearch": f"strategy max_results tool_description parameter_description {_OF_ALL}",
    "WebFetch": (
        "native local allowed_domains blocked_domains max_uses enable_citations max_content_tokens"
        f" {_OF_ALL}"
    ),
    "WebSearch": (
        "native local search_context_size user_location blocked_domains allowed_domains max_uses"
        f" external_web_access {_OF_ALL}"
    ),
    "XSearch": (
        "native local fallback_model fallback_subagent_model allowed_x_handles excluded_x_handles"
        " from_date to_date enable_image_understanding enable_video_understanding include_output"
        f" {_OF_ALL}"
    ),
}
CAPABILITIES = {
    name: None if parameters is None else frozenset(parameters.split())
    for name, parameters in _CAPABILITIES.items()
}
"""The parameters of each capability that a file may name; None if it takes any."""


def _known(capability: str | dict[str, JsonValue]) -> str | dict[str, JsonValue]:
    named = {capability: None} if isinstance(capability, str) else capability
    if len(named) != 1:
        raise ValueError("must be one capability, as a name or as a name with its parameters")
    ((name, given),) = named.items()
    if name not in CAPABILITIES:
        raise ValueError(f"there is no capability '{name}'; there are {', '.join(CAPABILITIES)}")
    parameters = CAPABILITIES[name]
    if parameters is not None and isinstance(given, dict):
        for parameter in given:
            if parameter not in parameters:
                known = ", ".join(sorted(parameters))
                raise ValueError(f"{name} has no parameter '{parameter}'; it has {known}")
    return capability


Capability = Annotated[str | dict[str, JsonValue], AfterValidator(_known)]
"""A capability's name, or a mapping from it to its parameters."""
