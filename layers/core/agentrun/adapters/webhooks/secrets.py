"""The secrets that sign webhooks: of AWS Secrets Manager, or of a laptop's environment."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from threading import Lock
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agentrun.adapters.dynamo.connection.light_client import light_session
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.webhooks import WebhookSecret, WebhookSecretError

MAX_AGE_S = 300
"""How long secrets are kept, so that a rotation is noticed."""
STAGES = ("AWSCURRENT", "AWSPREVIOUS")
"""Secrets Manager moves these labels when a secret gets a new value ("Versions of a secret")."""


class FixedSecrets:
    """The port `WebhookSecrets` on secrets that stay, the newest first, separated by spaces."""

    def __init__(self, text: str) -> None:
        """
        Read the secrets.

        Raises:
            WebhookSecretError: There are none, or one has the wrong form.
        """
        self._secrets = tuple(map(WebhookSecret.read, text.split()))
        if not self._secrets:
            raise WebhookSecretError("there is no webhook secret")

    def current(self) -> Sequence[WebhookSecret]:
        """Return the secrets; see the port."""
        return self._secrets


class SecretsManagerSecrets:
    """
    The port `WebhookSecrets` on a secret whose value is `whsec_…`.

    The value before it signs as well, until it gets another or loses its label AWSPREVIOUS: that is
    how receivers get time to change theirs.

    Args:
        arn: The secret.
        monotonic: Seconds that never go backwards.
    """

    def __init__(self, arn: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._arn = arn
        self._monotonic = monotonic
        self._lock = Lock()
        self._secrets: Sequence[WebhookSecret] = ()
        self._good_until_s = float("-inf")

    def current(self) -> Sequence[WebhookSecret]:
        """Return the secrets; see the port."""
        with self._lock:
            if self._monotonic() >= self._good_until_s:
                self._renew()
            return self._secrets

    def _renew(self) -> None:
        try:
            self._secrets = self._read()
        except (BotoCoreError, ClientError) as error:
            # Those of five minutes ago are most likely still good.
            if not self._secrets:
                raise StoreUnavailableError("The webhook secret cannot be read.") from error
        self._good_until_s = self._monotonic() + MAX_AGE_S

    def _read(self) -> Sequence[WebhookSecret]:
        current, previous = (self._value(stage) for stage in STAGES)
        if current is None:
            raise WebhookSecretError("the webhook secret has no value")
        secrets = [WebhookSecret.read(current)]
        # If the value that was replaced has the wrong form, nobody can have verified by it.
        with suppress(WebhookSecretError):
            secrets += [WebhookSecret.read(previous)] if previous else []
        return tuple(dict.fromkeys(secrets))

    def _value(self, stage: str) -> str | None:
        try:
            answer = self._client.get_secret_value(SecretId=self._arn, VersionStage=stage)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
            if stage == STAGES[0]:
                raise
            return None
        value: str = answer.get("SecretString", "")
        return value.strip()

    @cached_property
    def _client(self) -> Any:
        config = Config(
            connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"}
        )
        return light_session().create_client("secretsmanager", config=config)
