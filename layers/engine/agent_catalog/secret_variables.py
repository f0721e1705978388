"""Variables that may be secret: what MCP servers, model providers and tools ask for."""

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


class MissingVariableError(Exception):
    """A tool asks for a variable that is not set; the message names it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The variable {name} is not set: on a laptop it comes from the file of --env-file,"
            " where deployed from the secret of SecretsArn."
        )


def variable(name: str) -> str:
    """
    Return a variable, for a tool that is a plain function.

    It may block, for as long as it takes to read the secret: a tool that is an `async def` uses
    `async_variable`. Ask at each call, not when the module is imported, so that a rotated secret is
    taken up.

    Raises:
        MissingVariableError: It is not set, or empty.
        SecretsUnavailableError: The secret cannot be read; a later call may fare better.
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
    Return the environment's variables, and those of the deployment's secret, which win.

    `AGENTRUN_SECRETS_ARN` names a secret in AWS Secrets Manager that holds a JSON object of names
    and texts. A variable of a function can be read by whoever may look at its configuration, a
    secret by whom it allows, and each time is on record. Without it the environment is all.

    Raises:
        SecretsUnavailableError: A later run may fare better.
    """
    return {**environment, **await secret_values(environment)}


async def secret_values(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the variables of the deployment's secret alone; none where it has no secret."""
    if not environment.get("AGENTRUN_SECRETS_ARN"):
        return {}
    return await run_sync(_secret, environment, abandon_on_cancel=True)


def _secret(environment: Mapping[str, str]) -> Mapping[str, str]:
    arn = environment.get("AGENTRUN_SECRETS_ARN")
    return _read(arn) if arn else {}


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
