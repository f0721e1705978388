"""From a model's id to a pydantic-ai model."""

import os
from typing import Any

from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider

from agent_catalog.demo_model import demo_model
from agentrun.domain.errors import EngineError

# Bedrock sends nothing while a model thinks; a longer silence than this is a lost connection.
_CONNECT_TIMEOUT_S = 3.0
_READ_TIMEOUT_S = 120.0
_MAX_ATTEMPTS = 3
# One connection per concurrent run; botocore's default of 10 would discard and reopen the others.
_MAX_CONNECTIONS = 64


def create_model(model_id: str) -> Model:
    """
    Build the model that an id names: `demo`, `bedrock:<id>`, or any other that pydantic-ai knows.

    `AGENTRUN_DEMO_DELAY_MS` is the demo model's pause between tokens (default 20). Credentials are
    looked up at the first request; Bedrock needs a region from the usual AWS settings here.

    Raises:
        EngineError: The id is unknown, or a package or a setting is missing; the cause says which.
    """
    try:
        return _create(model_id)
    except Exception as error:
        raise EngineError(
            f"The model '{model_id}' is not set up here.", error_type="MODEL_ERROR"
        ) from error


def _create(model_id: str) -> Model:
    if model_id == "demo":
        return demo_model(delay_s=float(os.environ.get("AGENTRUN_DEMO_DELAY_MS", "20")) / 1000)
    return infer_model(model_id, provider_factory=_provider)


def _provider(name: str) -> Provider[Any]:
    if name != "bedrock":
        return infer_provider(name)
    # Imported here: a process that runs other models must not load boto3's client.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from pydantic_ai.providers.bedrock import BedrockProvider  # noqa: PLC0415

    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS},
        max_pool_connections=_MAX_CONNECTIONS,
        tcp_keepalive=True,
    )
    return BedrockProvider(bedrock_client=boto3.client("bedrock-runtime", config=config))
