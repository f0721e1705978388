"""Where variables come from that may be secret."""

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from agent_catalog import secret_variables as module
from agent_catalog.secret_variables import SecretsUnavailableError, secret_variables

SECRET = "hunter2-hunter2"
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    module._provider.cache_clear()
    with mock_aws():
        yield
    module._provider.cache_clear()


def named(content: str | bytes) -> str:
    """Store a secret; gives its ARN."""
    client = boto3.client("secretsmanager")
    if isinstance(content, bytes):
        return client.create_secret(Name="agents", SecretBinary=content)["ARN"]
    return client.create_secret(Name="agents", SecretString=content)["ARN"]


async def test_without_a_secret_the_environment_is_all() -> None:
    for environment in ({"TOKEN": "t"}, {"TOKEN": "t", "AGENTRUN_SECRETS_ARN": ""}):
        assert (await secret_variables(environment))["TOKEN"] == "t"


async def test_a_secrets_variables_come_before_the_environments() -> None:
    arn = named(json.dumps({"TOKEN": SECRET}))
    found = await secret_variables({"AGENTRUN_SECRETS_ARN": arn, "TOKEN": "t", "OTHER": "o"})
    assert (found["TOKEN"], found["OTHER"]) == (SECRET, "o")


async def test_a_secret_is_read_once_in_five_minutes() -> None:
    arn = named(json.dumps({"TOKEN": SECRET}))
    for _ in range(2):
        assert (await secret_variables({"AGENTRUN_SECRETS_ARN": arn}))["TOKEN"] == SECRET
        boto3.client("secretsmanager").put_secret_value(
            SecretId=arn, SecretString='{"TOKEN":"new"}'
        )
    module._provider.cache_clear()
    assert (await secret_variables({"AGENTRUN_SECRETS_ARN": arn}))["TOKEN"] == "new"
    assert module.MAX_AGE_S == 300


@pytest.mark.parametrize(
    "content", [SECRET, f'["{SECRET}"]', f'{{"TOKEN": ["{SECRET}"]}}', b"\xff"]
)
async def test_a_secret_of_another_form_is_refused_without_quoting_it(
    content: str | bytes,
) -> None:
    arn = named(content)
    with pytest.raises(SecretsUnavailableError, match="is not a JSON object of texts") as raised:
        await secret_variables({"AGENTRUN_SECRETS_ARN": arn})
    assert raised.value.__cause__ is None
    assert SECRET not in str(raised.value)


async def test_a_secret_that_cannot_be_read_is_refused() -> None:
    missing = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-abcdef"
    with pytest.raises(SecretsUnavailableError, match="cannot be read"):
        await secret_variables({"AGENTRUN_SECRETS_ARN": missing})
