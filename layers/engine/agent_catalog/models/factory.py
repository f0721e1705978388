"""From a model's id to a pydantic-ai model."""

import logging
import math
import os
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from agent_catalog.models.bedrock import bedrock_client
from agent_catalog.models.demo.model import demo_model
from agent_catalog.models.guarded import GuardedModel
from agentrun.domain.errors import EngineError

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger(__name__)
# What pydantic-ai gives the openai package, which wants a key, where a server may need none.
_MADE_UP_KEYS = frozenset({"api-key-not-set", "litellm-placeholder"})
# Bedrock sends nothing while a model thinks without showing it, which may take more than a minute.
_IDLE_TIMEOUT_S = "120"
# The guard decides; the client's own time-out is there for the threads that it leaves behind.
_SOCKET_MARGIN_S = 5.0


def create_model(model_id: str) -> Model:
    """
    Build the model that an id names.

    - `demo`: the demo model; `AGENTRUN_DEMO_DELAY_MS` is its pause between tokens (default 20).
    - `bedrock:<id>`: a model, an inference profile or the ARN of one. Credentials are looked up at
      the first request; a region has to come from the usual AWS settings here.
    - `openai:<name>` with `OPENAI_BASE_URL`: what serves chat completions there, such as Ollama or
      vLLM. `OPENAI_API_KEY` is sent if it is set, and no key otherwise. Without a base URL it is
      OpenAI's own, and needs the key.
    - Any other that pydantic-ai knows; its key is in the variable that pydantic-ai names.

    `AGENTRUN_MODEL_IDLE_TIMEOUT_S` is how long a model may be silent, in seconds (default 120).

    Raises:
        EngineError: The id is unknown, or a package or a setting is missing; the cause says which.
    """
    try:
        return _create(model_id)
    except Exception as error:
        # These are worded by pydantic-ai and the import system; another may quote an address.
        told = isinstance(error, UserError | ImportError)
        why = error if told else type(error).__name__
        _log.warning("The model '%s' is not set up: %s", model_id, why)
        raise EngineError(
            f"The model '{model_id}' is not set up here.", error_type="MODEL_ERROR"
        ) from error


def _create(model_id: str) -> Model:
    if model_id == "demo":
        return demo_model(delay_s=float(os.environ.get("AGENTRUN_DEMO_DELAY_MS", "20")) / 1000)
    if model_id == "test":
        return infer_model(model_id)
    idle_timeout_s = float(os.environ.get("AGENTRUN_MODEL_IDLE_TIMEOUT_S") or _IDLE_TIMEOUT_S)
    if not 0 < idle_timeout_s < math.inf:
        raise ValueError("AGENTRUN_MODEL_IDLE_TIMEOUT_S is not a number of seconds above 0")
    return GuardedModel(_provided(model_id, idle_timeout_s), idle_timeout_s=idle_timeout_s)


def _provided(model_id: str, idle_timeout_s: float) -> Model:
    kind, _, name = model_id.partition(":")
    base_url = os.environ.get("OPENAI_BASE_URL")
    if kind == "openai" and base_url:
        return _openai_compatible(name, base_url)

    def provider(kind: str) -> Provider[Any]:
        if kind != "bedrock":
            return _other_provider(kind)
        from pydantic_ai.providers.bedrock import BedrockProvider  # noqa: PLC0415

        client = bedrock_client(idle_timeout_s=idle_timeout_s + _SOCKET_MARGIN_S)
        return BedrockProvider(bedrock_client=client)

    return infer_model(model_id, provider_factory=provider)


def _other_provider(kind: str) -> Provider[Any]:
    try:
        infer_provider_class(kind)
    except ValueError as error:
        raise UserError(f"pydantic-ai knows no provider '{kind}'") from error
    return _without_made_up_key(infer_provider(kind))


def _openai_compatible(name: str, base_url: str) -> Model:
    # Imported here: the package is an extra, and no other model needs it.
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

    # Not the provider `openai`: it would use what only OpenAI's servers can, and name its prices.
    provider = OpenAICompatibleProvider(
        "openai-compatible",
        base_url=base_url,
        api_key=os.environ.get("OPENAI_API_KEY") or None,
        profile=OpenAIModelProfile(
            # Else a stream that breaks off between two chunks would look like a whole answer.
            openai_chat_streaming_requires_finish_reason=True,
            # OpenAI's own addition to the schema of a tool, which others need not know.
            openai_supports_strict_tool_definition=False,
        ),
    )
    return OpenAIChatModel(name, provider=_without_made_up_key(provider))


def _without_made_up_key(provider: Provider[Any]) -> Provider[Any]:
    """Send no `Authorization` where there is no key; a server may refuse one it does not know."""
    client = provider.client
    if getattr(client, "api_key", None) in _MADE_UP_KEYS:
        made_up = f"Bearer {client.api_key}"

        async def leave_out(request: "httpx2.Request") -> None:
            # An agent's file may have set a header of its own.
            if request.headers.get("Authorization") == made_up:
                del request.headers["Authorization"]

        # The package's hook for changing a request before it is sent, of this one client. It can
        # omit a header by itself, but only by request, in settings that an agent's file replaces.
        vars(client)["_prepare_request"] = leave_out
    return provider
