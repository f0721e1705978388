"""Variables that may be secret, such as the token that an MCP server asks for."""

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

MAX_AGE_S = 300
"""A secret that is rotated is read again after so long."""

_VARIABLES = TypeAdapter(dict[str, str])


class SecretsUnavailableError(Exception):
    """The secret cannot be read, or is not of the right form; the message says nothing of it."""


async def secret_variables(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """
    Give the environment's variables, and those of the deployment's secret before them.

    `AGENTRUN_SECRETS_ARN` names a secret in AWS Secrets Manager that holds a JSON object of names
    and texts. A variable of a function can be read by whoever may look at its configuration, a
    secret by whom it allows, and each time is on record. Without it the environment is all.

    Raises:
        SecretsUnavailableError: A later run may fare better.
    """
    arn = environment.get("AGENTRUN_SECRETS_ARN")
    if not arn:
        return environment
    return {**environment, **await run_sync(_read, arn, abandon_on_cancel=True)}


def _read(arn: str) -> Mapping[str, str]:
    # Imported here: most deployments have no secret.
    from aws_lambda_powertools.utilities.parameters.exceptions import (  # noqa: PLC0415
        GetParameterError,
    )

    # None of the causes is chained: their texts may hold the secret.
    try:
        return _VARIABLES.validate_json(str(_provider().get(arn, max_age=MAX_AGE_S)))
    except GetParameterError:
        raise SecretsUnavailableError("the secret cannot be read") from None
    except ValidationError:
        raise SecretsUnavailableError("the secret is not a JSON object of texts") from None


@cache
def _provider() -> "SecretsProvider":
    from aws_lambda_powertools.utilities.parameters import SecretsProvider  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    # A run waits for it, so it gives up early.
    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
    return SecretsProvider(boto_config=config)
