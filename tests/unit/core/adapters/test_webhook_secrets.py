"""The secrets that sign: the present one and, while it is rotated, the one before."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from agentrun.adapters.webhooks.secrets import MAX_AGE_S, FixedSecrets, SecretsManagerSecrets
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.webhooks import WebhookSecret, WebhookSecretError
from tests.fakes.clock import Elapsing


def secret(letter: str) -> str:
    return "whsec_" + b64encode(letter.encode() * 32).decode()


def keys(*letters: str) -> list[WebhookSecret]:
    return [WebhookSecret(letter.encode() * 32) for letter in letters]


class Vault:
    """A secret in this process, and how it is read as time passes."""

    def __init__(self, value: str) -> None:
        self._client = boto3.client("secretsmanager", region_name="eu-west-1")
        self.arn = self._client.create_secret(Name="webhooks", SecretString=value)["ARN"]
        self.time = Elapsing()
        self.secrets = SecretsManagerSecrets(self.arn, monotonic=self.time.monotonic)

    def put(self, value: str) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=value)
        self.time.sleep(MAX_AGE_S)

    def current(self) -> list[WebhookSecret]:
        return list(self.secrets.current())

    def be_down(self) -> None:
        def fail(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="secretsmanager")

        self.secrets._client.meta.events.register("before-send.secretsmanager.*", fail)


@pytest.fixture
def vault() -> Iterator[Vault]:
    with mock_aws():
        yield Vault(secret("a"))


def test_one_that_was_never_rotated_signs_alone(vault: Vault) -> None:
    assert vault.current() == keys("a")


def test_after_a_rotation_both_sign_the_new_one_first(vault: Vault) -> None:
    vault.put(secret("b"))
    assert vault.current() == keys("b", "a")
    vault.put(secret("c"))
    assert vault.current() == keys("c", "b")


def test_a_value_that_is_put_again_signs_once(vault: Vault) -> None:
    vault.put(secret("a"))
    assert vault.current() == keys("a")


def test_secrets_are_kept_for_five_minutes(vault: Vault) -> None:
    assert vault.current() == keys("a")
    vault.time.now_s -= MAX_AGE_S
    vault.put(secret("b"))
    assert vault.current() == keys("a")
    vault.time.sleep(MAX_AGE_S)
    assert vault.current() == keys("b", "a")


def test_while_they_cannot_be_read_those_from_before_sign(vault: Vault) -> None:
    assert vault.current() == keys("a")
    vault.be_down()
    vault.time.sleep(MAX_AGE_S)
    assert vault.current() == keys("a")


def test_without_any_nothing_is_signed(vault: Vault) -> None:
    vault.be_down()
    with pytest.raises(StoreUnavailableError):
        vault.current()


def test_a_secret_that_is_not_there_is_not_available() -> None:
    with mock_aws():
        missing = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:no-AbCdEf"
        with pytest.raises(StoreUnavailableError):
            SecretsManagerSecrets(missing).current()


def test_a_value_of_the_wrong_form_is_told_and_not_quoted(vault: Vault) -> None:
    vault.put("hunter2hunter2hunter2")
    with pytest.raises(WebhookSecretError) as refused:
        vault.current()
    assert "hunter2" not in str(refused.value)


def test_a_value_of_the_wrong_form_that_was_replaced_is_left_out(vault: Vault) -> None:
    vault.put("no secret")
    vault.put(secret("b") + "\n")
    assert vault.current() == keys("b")


def test_on_a_laptop_they_come_from_the_environment() -> None:
    assert list(FixedSecrets(f"{secret('a')} {secret('b')}").current()) == keys("a", "b")
    for text in ("", "  ", "whsec_short"):
        with pytest.raises(WebhookSecretError):
            FixedSecrets(text)
