"""Variables that may be secret, for MCP servers, model providers and tools."""

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

MAX_AGE_S = 300
"""How long a secret is cached, so that a rotated one is noticed."""

_VARIABLES = TypeAdapter(dict[str, str])


class SecretsUnavailableError(Exception):
    """The secret cannot be read or has the wrong form; the message does not quote it."""


class MissingVariableError(Exception):
    """A tool asked for a variable that is not set; the message names it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The variable {name} is not set: on a laptop it comes from the file of --env-file,"
            " where deployed from the secret of SecretsArn."
        )


def variable(name: str) -> str:
    """
    Return a variable, for a tool that is a plain function.

    It blocks while the secret is read; an `async def` uses `async_variable`. Call it at each use,
    not at import, so that a rotated secret is noticed.

    Raises:
        MissingVariableError: It is not set, or empty.
        SecretsUnavailableError: The secret cannot be read; a later call may succeed.
    """
    return _of({**os.environ, **_secret(os.environ)}, name)


async def async_variable(name: str) -> str:
    """Return a variable, for a tool that is an `async def`; raises as `variable` does."""
    return _of(await secret_variables(), name)


def _of(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    if not value:
        raise MissingVariableError(name)
    return value


async def secret_variables(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """
    Return the environment's variables, overridden by those of the deployment's secret.

    `AGENTRUN_SECRETS_ARN` names a secret in AWS Secrets Manager: a JSON object of names and texts.
    Unlike a function's variables, it is readable only by those whom it allows, and each access is
    recorded. Without it, only the environment is used.

    Raises:
        SecretsUnavailableError: The secret cannot be read; a later run may succeed.
    """
    return {**environment, **await secret_values(environment)}


async def secret_values(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return only the variables of the deployment's secret; none if it has no secret."""
    if not environment.get("AGENTRUN_SECRETS_ARN"):
        return {}
    return await run_sync(_secret, environment, abandon_on_cancel=True)


def _secret(environment: Mapping[str, str]) -> Mapping[str, str]:
    arn = environment.get("AGENTRUN_SECRETS_ARN")
    return _read(arn) if arn else {}


def _read(arn: str) -> Mapping[str, str]:
    # Imported here: few deployments have a secret.
    from aws_lambda_powertools.utilities.parameters.exceptions import (  # noqa: PLC0415
        GetParameterError,
    )

    # No cause is chained: its text may contain the secret.
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

    # A run waits for it, so give up early.
    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
    return SecretsProvider(boto_config=config)
