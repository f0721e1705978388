"""What a function needs to reach a real model; the only thing taken from the developer's AWS."""

import os
from collections.abc import Mapping

import boto3

from agentrun_local.errors import LocalStackError

_PASSED_ON = {
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "ollama": ("OLLAMA_BASE_URL", "OLLAMA_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
}


def model_environment(model: str, given: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables with which a function calls the model; none for the demo model.

    For a Bedrock model these are the developer's own credentials and region, resolved once, as a
    role's are on Lambda; where `given`, which the functions get beside them, has credentials, those
    are used. DynamoDB stays local all the same: it has an endpoint of its own. For some others it
    is where they are, and their key; what else a provider needs has to be in `given`.

    Raises:
        LocalStackError: There are no AWS credentials or no region.
    """
    provider = model.partition(":")[0]
    names = _PASSED_ON.get(provider, ())
    passed_on = {name: value for name in names if (value := os.environ.get(name))}
    if provider != "bedrock":
        return passed_on
    session = boto3.Session()
    region = given.get("AWS_DEFAULT_REGION") or given.get("AWS_REGION") or session.region_name
    # Never some of the one and some of the other: they belong together.
    credentials = {} if "AWS_ACCESS_KEY_ID" in given else _credentials(session)
    if credentials is None or region is None:
        raise LocalStackError(
            f"The model {model} needs AWS credentials and a region; sign in, or use --model demo."
        )
    return {**passed_on, **credentials, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


def _credentials(session: boto3.Session) -> dict[str, str] | None:
    credentials = session.get_credentials()
    if credentials is None:
        return None
    frozen = credentials.get_frozen_credentials()
    found = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
    return {name: value for name, value in found.items() if value}
