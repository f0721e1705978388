"""From a model's id to a pydantic-ai model, built once and kept."""

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from agent_catalog.models.bedrock import bedrock_client, read_streams_ahead
from agent_catalog.models.demo.model import demo_model
from agent_catalog.models.guarded import GuardedModel
from agent_catalog.secret_variables import SecretsUnavailableError, secret_values
from agentrun.domain.errors import EngineError

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger(__name__)
# What pydantic-ai passes to the openai package, which requires a key, when there is none.
_MADE_UP_KEYS = frozenset({"api-key-not-set", "litellm-placeholder"})
# Bedrock sends nothing while a model thinks without showing it, maybe for more than a minute.
_IDLE_TIMEOUT_S = "120"
# The guard's time-out comes first; the client's own ends the threads that it leaves behind.
_SOCKET_MARGIN_S = 5.0


# All others may need a key; Bedrock is called with the function's role.
_WITHOUT_KEY = frozenset({"demo", "test", "bedrock"})

_Secret = Mapping[str, str] | SecretsUnavailableError


def create_model(model_id: str) -> Model:
    """
    Build the model that an id names.

    - `demo`: the demo model; `AGENTRUN_DEMO_DELAY_MS` is its pause between tokens (default 20).
    - `bedrock:<id>`: a model, an inference profile or the ARN of one. The usual AWS settings have
      to name a region; credentials are looked up at the first request.
    - `openai:<name>` with `OPENAI_BASE_URL`: a server of chat completions, such as Ollama or vLLM.
      `OPENAI_API_KEY` is sent if it is set. Without a base URL: OpenAI itself, which needs the key.
    - Any other that pydantic-ai knows, with the key in the variable that pydantic-ai names.

    `AGENTRUN_MODEL_IDLE_TIMEOUT_S` is how long a model may be silent, in seconds (default 120).

    Raises:
        EngineError: The id is unknown, or a package or a setting is missing; the cause says which.
    """
    try:
        return _create(model_id)
    except Exception as error:
        # pydantic-ai and the import system word these; another error may quote an address.
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
    idle_s = idle_timeout_s()
    return GuardedModel(_provided(model_id, idle_s), idle_timeout_s=idle_s)


def idle_timeout_s() -> float:
    """Return how long a model may be silent; ValueError if the setting is no such time."""
    idle_s = float(os.environ.get("AGENTRUN_MODEL_IDLE_TIMEOUT_S") or _IDLE_TIMEOUT_S)
    if not 0 < idle_s < math.inf:
        raise ValueError("AGENTRUN_MODEL_IDLE_TIMEOUT_S is not a number of seconds above 0")
    return idle_s


def _provided(model_id: str, idle_s: float) -> Model:
    kind, _, name = model_id.partition(":")
    base_url = os.environ.get("OPENAI_BASE_URL")
    if kind == "openai" and base_url:
        return _openai_compatible(name, base_url)

    def provider(kind: str) -> Provider[Any]:
        if kind != "bedrock":
            return _other_provider(kind)
        from pydantic_ai.providers.bedrock import BedrockProvider  # noqa: PLC0415

        read_streams_ahead()
        client = bedrock_client(idle_timeout_s=idle_s + _SOCKET_MARGIN_S)
        return BedrockProvider(bedrock_client=client)

    return infer_model(model_id, provider_factory=provider)


def _other_provider(kind: str) -> Provider[Any]:
    try:
        infer_provider_class(kind)
    except ValueError as error:
        raise UserError(f"pydantic-ai knows no provider '{kind}'") from error
    return _without_made_up_key(infer_provider(kind))


def _openai_compatible(name: str, base_url: str) -> Model:
    # Imported here: the package is an extra that no other model needs.
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

    # Not the provider `openai`, which uses what only OpenAI's servers have, and its prices.
    provider = OpenAICompatibleProvider(
        "openai-compatible",
        base_url=base_url,
        api_key=os.environ.get("OPENAI_API_KEY") or None,
        profile=OpenAIModelProfile(
            # Otherwise a stream that breaks off between two chunks would pass for a whole answer.
            openai_chat_streaming_requires_finish_reason=True,
            # OpenAI's own addition to a tool's schema, unknown to others.
            openai_supports_strict_tool_definition=False,
        ),
    )
    return OpenAIChatModel(name, provider=_without_made_up_key(provider))


def _without_made_up_key(provider: Provider[Any]) -> Provider[Any]:
    """Send no `Authorization` without a key: a server may refuse one that it does not know."""
    client = provider.client
    if getattr(client, "api_key", None) in _MADE_UP_KEYS:
        made_up = f"Bearer {client.api_key}"

        async def leave_out(request: "httpx2.Request") -> None:
            # The agent's file may set a header of its own.
            if request.headers.get("Authorization") == made_up:
                del request.headers["Authorization"]

        # The package's hook for changing this one client's requests. It can also omit a header,
        # but only per request, in settings that an agent's file replaces.
        vars(client)["_prepare_request"] = leave_out
    return provider


class ModelPool:
    """
    Builds each model at its first use, and again after the secret with its key has changed.

    Runs that have begun keep the model that they began with.
    """

    def __init__(self, create: Callable[[str], Model]) -> None:
        self._create = create
        self._models: dict[str, tuple[Mapping[str, str], Model]] = {}

    async def for_run(self, *model_ids: str | None) -> Callable[[str], Model]:
        """
        Return the function that gives one run its models by their ids.

        It raises EngineError if a model is not set up, or if its key cannot be read at the moment.

        Args:
            model_ids: The models that the run may use. The deployment's secret is read only if one
                of them may need a key.
        """
        secret: _Secret = {}
        if any(model_id and _may_need_key(model_id) for model_id in model_ids):
            try:
                secret = await secret_values()
            except SecretsUnavailableError as error:
                # The run may do without that model: it may be for follow-ups only.
                secret = error
        return partial(self._model, secret)

    def _model(self, secret: _Secret, model_id: str) -> Model:
        if not _may_need_key(model_id):
            secret = {}
        if isinstance(secret, SecretsUnavailableError):
            raise EngineError(
                f"The key of the model '{model_id}' cannot be read at the moment; try again.",
                error_type="MODEL_ERROR",
            ) from secret
        built = self._models.get(model_id)
        if built is None or built[0] != secret:
            with _in_environment(secret):
                built = secret, self._create(model_id)
            self._models[model_id] = built
        return built[1]


def _may_need_key(model_id: str) -> bool:
    return model_id.partition(":")[0] not in _WITHOUT_KEY


@contextmanager
def _in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """
    Add variables to the environment for the block: some clients look for their keys only there.

    A process that another thread starts meanwhile would inherit them; nothing here starts one.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
