"""What a function needs to reach a real model; the only thing taken from the developer's AWS."""

import os

import boto3

from agentrun_local.errors import LocalStackError

_PASSED_ON = {
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "ollama": ("OLLAMA_BASE_URL", "OLLAMA_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
}


def model_environment(model: str) -> dict[str, str]:
    """
    Give the variables with which a function calls the model; none for the demo model.

    For a Bedrock model these are the developer's own credentials and region, resolved once, as a
    role's are on Lambda. DynamoDB stays local all the same: it has an endpoint of its own. For an
    OpenAI-compatible one it is where that is, and its key.

    Raises:
        LocalStackError: There are no AWS credentials or no region.
    """
    provider = model.partition(":")[0]
    names = _PASSED_ON.get(provider, ())
    passed_on = {name: value for name in names if (value := os.environ.get(name))}
    if provider != "bedrock":
        return passed_on
    session = boto3.Session()
    credentials = session.get_credentials()
    if credentials is None or session.region_name is None:
        raise LocalStackError(
            f"The model {model} needs AWS credentials and a region; sign in, or use --model demo."
        )
    frozen = credentials.get_frozen_credentials()
    found = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
        "AWS_REGION": session.region_name,
        "AWS_DEFAULT_REGION": session.region_name,
    }
    return passed_on | {name: value for name, value in found.items() if value}
